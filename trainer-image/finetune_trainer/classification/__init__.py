"""Classifiers, for train and publish alike: their rows, their batches, and a base model that becomes one.

labelling.py  what is to be told: the task and its labels
rows.py       labelled rows as prepare left them
batch.py      rows of different length as tensors, and what a model says of them
model.py      a base model as a classifier: keeps its head, or gets a new one from the seed
learner.py    training of a classifier
score.py      loss, accuracy and F1 on labelled rows
f1.py         accuracy and F1 of predictions
"""
