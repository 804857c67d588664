"""Rows to token ids.

encoder.py            what turns the task's rows into token ids: tokenizer, chat template, or what takes its place
examples.py           rows to token ids, cut to the longest sequence
control_texts.py      rows that spell special tokens
message_names.py      names of messages that the chat template does not write
refusals.py           rows that the chat template does not accept
held_out_requests.py  validation rows as requests, for the skew check of publish
"""
