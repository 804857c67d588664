"""Rows to token ids: chat templates, masks, encoders, the Arrow files that training reads.

encoded.py    what an encoder makes of a row: the interface
template.py   a chat template, rendered as transformers does it
tools.py      what a template makes of tools; templates that take another's place
spans.py      which characters of a conversation the assistant said
skeleton.py   the same in one rendering, for conversations of a known form
chat.py       conversations to text
texts.py      completions and summaries to text
language.py   texts to token ids and loss masks
classes.py    rows of the classification tasks to token ids and labels
arrow.py      the files, written and cut
"""
