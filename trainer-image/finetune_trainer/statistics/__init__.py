"""Figures of a model on rows, and how far chance in the choice of the rows may have moved them.

statistic.py  a metric as a function of weighted rows; means, perplexity
bootstrap.py  95 % confidence intervals of two models' metrics and of their differences

Knows neither models nor torch.
"""
