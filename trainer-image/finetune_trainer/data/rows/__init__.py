"""Records to rows of a task.

shape.py     what the records of a file look like, judged by the first of them
foreign.py   layouts of other programs, known by their fields
build.py     a record in its task's layout to a row, if nothing is wrong with it
plain.py     many rows at once that are right at first sight
lossless.py  whether decoding has lost something that the bytes say
read.py      records to rows: the plain ones at once, the others one by one
"""
