"""Embedding models, for train and publish alike: vectors of texts, close for texts that belong together.

rows.py       rows as prepare left them: two or three texts each, or two with a score
batch.py      the texts of several rows as tensors
model.py      a base model without a head, and the vector of a text
loss.py       what pairs of vectors cost, and the gradient of that
learner.py    the Learner
retrieval.py  how often the text that belongs to another is found, and how similarities and scores agree
score.py      loss and these figures on the validation rows
folder.py     the files of sentence-transformers beside a model
"""
