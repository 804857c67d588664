"""The rows of a job: training and validation.

dataset.py     rows: fetched, validated, split
row_source.py  one file of them: fetched and validated
classes.py     the classes of a classifier
gate.py        the metrics that the gate asks for
ratings.py     labels of rated answers
scores.py      scored rows of text-embedding, and what they do not fit
statistics.py  histograms and quantiles
"""
