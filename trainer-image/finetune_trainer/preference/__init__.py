"""Training on answers that are judged: the log-probability of whole answers, and a loss of them (finetune_trainer.objectives).

learner.py     the Learner of pairs
rated.py       the Learner of rated answers
rows.py        rows as prepare left them, and their answers one by one
mismatched.py  each prompt with the answer of another row, which tell how far the model is from the base
batch.py       rows as tensors, all answers of a row in one forward pass
answers.py     log-probabilities of a batch's answers
reference.py   those of the base model for all rows, kept in the workspace
score.py       loss, reward accuracy and margin on the validation rows
"""
