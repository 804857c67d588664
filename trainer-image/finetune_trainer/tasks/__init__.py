"""What a row of each task is: its fields, the layouts that it is read from, and what is wrong with one that is not right.

rows.py     the rows themselves
explain/    what is wrong with a record
layouts/    layouts of other programs, and the steps from them to a task's own
"""
