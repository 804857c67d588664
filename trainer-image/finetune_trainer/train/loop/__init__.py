"""The training loop: one optimizer step at a time.

trainer.py     transformers.Trainer with one optimizer step as its unit
context.py     what the loop is given
saving.py      a checkpoint, written by all ranks together
arguments.py   the hyperparameters as TrainingArguments
fp16.py        the scaled loss of fp16
validation.py  the loss on a sample of the validation rows, between steps
curve.py       the validations of a run                    (pure)
steps.py       the dataloader: one item is one step of this rank
run_log.py     rank 0's progress lines and metrics
time_left.py   the time that steps, validations and checkpoints still take (pure)
usage.py       what rank 0 uses of its machine
metrics.py     metrics.csv
trend.py       whether the loss decreased                  (pure)
"""
