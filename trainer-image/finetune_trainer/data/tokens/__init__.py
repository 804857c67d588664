"""Rows to token ids: chat templates, masks, encoders, the Arrow files that training reads.

encoded.py    what an encoder makes of a row: the interface
template.py   rows through a chat template (finetune_text renders it)
spans.py      which characters of a conversation the assistant said
skeleton.py   the same in one rendering, for conversations of a known form
chat.py       rows to text as conversations
texts.py      prompts and answers to text, without a template
borders.py    where prompts end and answers begin, in tokens
batches.py    how many rows are tokenised together
language.py   texts to token ids and loss masks
pairs.py      rows of two answers to token ids and loss masks
rated.py      rows of rated answers to token ids, loss masks and labels
unseen_words.py  words that have no tokens, and their entities
classes.py    texts and words to token ids and labels
embedding.py  texts that belong together to token ids
arrow.py      the files, written and cut
"""
