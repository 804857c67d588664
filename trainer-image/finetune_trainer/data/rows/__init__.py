"""Records to rows of a task.

shape.py     what the records of a file look like, judged by the first of them
unfit.py     why a file is of no use to a task, and what to do
read.py      records to rows: the plain ones at once, the others one by one
"""
