"""One generated answer: from the engine's tokens to text and tool calls. Knows no HTTP.

- `generation`: the engine's tokens become pieces of text, up to the end or a stop string
- `chat`: the answer of a chat: texts and tool calls in their order
- `tokenizer`: token ids to text
- `detokenizer`: token ids to text one at a time, never half a character
- `stop`: finds stop strings in text that arrives in pieces
- `tool_calls`: finds tool calls in text that arrives in pieces
"""
