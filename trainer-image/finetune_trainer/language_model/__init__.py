"""Language models, for train, evaluation and publish alike: the next token of examples, at the supervised positions only.

learner.py   the Learner
rows.py      rows and prompts as prepare left them
batch.py     rows as tensors: packed in one row to train on, or padded side by side to score
model.py     loads and saves the weights
head.py      logits at the supervised positions, and their loss
noise.py     noise on the embeddings
packing.py   the start-up test of packed rows
score.py     loss and perplexity on the validation rows
"""
