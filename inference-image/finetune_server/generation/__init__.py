"""One generated answer: from the engine's tokens to text and tool calls. Knows no HTTP.

generation.py   an answer in progress: the engine's tokens become parts of text and tool calls
tokenizer.py    token ids to text
detokenizer.py  token ids to text one at a time, never half a character
stop.py         finds stop strings in text that arrives in pieces
tool_calls.py   finds tool calls in text that arrives in pieces
"""
