"""The rows of a job: training and validation.

dataset.py     rows: fetched, validated, split
row_source.py  one file of them: fetched and validated
classes.py     the classes of a classifier
statistics.py  histograms and quantiles
"""
