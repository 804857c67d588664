"""One classification: from texts to the engine's inputs, and from its logits to classes and entities. Knows no HTTP.

tokenizer.py  a classifier's inputs and their tokens
logits.py     waits for the engine's logits on the event loop
classes.py    from logits to classes
entities.py   from the tags of tokens to entities
"""
