"""Layouts of other programs and of public datasets, and the steps from them to a task's own.

steps.py           the steps: cells of a table, renamed fields, templates
template.py        texts with fields of a record in braces
sharegpt.py        ShareGPT's conversations
alpaca.py          Alpaca's and Dolly's instructions
message_lists.py   conversations whose messages do not all stand in one list
preferences.py     rows of two answers: OpenAI's, TRL's
ratings.py         rated answers: TRL's, conversations with a label
nulls.py           nulls that stand for keys which are not there
forms.py           forms that are not read, by name and with the next step
context.py         what is known of one record on its way: names of its parts, remarks
"""
