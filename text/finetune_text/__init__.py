"""What training and serving must do alike, so that a model is asked what it was trained on. Knows no weights, no HTTP, no files of rows.

chat_template.py       a model's chat template, rendered as transformers does it
tool_form.py           what a template makes of tools and calls
blank.py              texts that say nothing
call_text.py           a tool call as an answer's text
standard_templates.py  templates for models that have none, or one that ignores tools
instructions.py        instructions that are added to the user's own text
markers.py             which special tokens end an answer
tokenizer_files.py     what the files beside a tokenizer.json say
prompts.py             a request's messages or text to token ids
prompt_tokenizer.py    texts to token ids, and texts that go on where a prompt ends
control_text.py        special tokens that a user's words spell
encoder_tokenizer.py   texts, pairs and words to a classifier's inputs
positions.py           how long a classifier's input may be
span.py                a stretch of a text
tags.py                BIO tags and entities
"""
