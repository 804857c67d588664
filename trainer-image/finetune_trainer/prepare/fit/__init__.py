"""Whether the training fits into memory, and what it takes.

choice.py       micro-batches and gradient checkpointing that the training could run with, and what each needs
model_shape.py  what the memory depends on, from config.json and the tensors' shapes
memory.py       the memory of a training process, by a formula
strategy.py     how the processes train one model, if the spec leaves it open
fit.py          the choice that fits, or
too_large.py    why none does, and what would: changes to the run (attempt.py) and to how it is spread over processes (spreading.py)
expectation.py  tokens, hours, cost
"""
