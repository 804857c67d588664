"""Records to rows: what a row of each task must look like, and what is wrong with one that does not.

types.py       what a row is, once it is right
shape.py       what the records of a file look like, judged by the first of them
foreign.py, sharegpt.py, alpaca.py, message_lists.py, template.py, steps.py    layouts of other programs, and the steps to ours
forms.py       forms that are not read, by name and with the next step
context.py     what is known of a record on the way: what its parts are called, what is worth a note
nulls.py       nulls that stand for keys which are not there
build.py       a record in its task's layout to a row, if `explain` finds nothing wrong
explain/       what is wrong with a record, in words: one file a task, and content, weights, tools and names of a conversation
plain.py       many rows at once that are right at first sight
lossless.py    whether decoding has lost something that the bytes say
read.py        records to rows: the plain ones at once, the others one by one
"""
