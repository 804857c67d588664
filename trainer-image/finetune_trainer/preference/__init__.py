"""Training on answers that are compared: the log-probability of whole answers, and a loss of them (finetune_trainer.objectives).

learner.py     the Learner
rows.py        rows as prepare left them, and their answers one by one
batch.py       rows as tensors, all answers of a row in one forward pass
answers.py     log-probabilities of a batch's answers
reference.py   those of the base model for all rows, kept in the workspace
score.py       loss, reward accuracy and margin on the validation rows
"""
