"""Classifiers, for train and publish alike: their rows, their batches, and a base model that becomes one.

labelling.py  the labels, and whether texts or tokens have them
rows.py       labelled rows as prepare left them
batch.py      rows of different length as tensors, their logits and losses
loss.py       the loss of the training: weights of classes, label smoothing, focal
model.py      a base model as a classifier: keeps its head, or gets a new one from the seed
learner.py    the Learner
score.py      loss, accuracy and F1 on labelled rows
f1.py         accuracy and F1 of predictions
"""
