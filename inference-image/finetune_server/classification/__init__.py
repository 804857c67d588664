"""One classification: from texts to the engine's inputs, and from its logits to classes and entities. Knows no HTTP.

- `tokenizer`: a classifier's inputs and their tokens
- `logits`: waits for the engine's logits on the event loop
- `classes`: from logits to classes
- `entities`: from the tags of tokens to entities
"""
