"""Language models, for train and publish alike: their rows, their batches, and how they are loaded, trained and scored.

learner.py   training of a language model
rows.py      training rows as prepare left them
batch.py     packed rows as tensors
packing.py   the start-up test of packed rows
held_out.py  validation rows and prompts
batches.py   validation rows of similar length as tensors
score.py     loss and perplexity
"""
