"""How good the tuned model is, and whether it is asked what it was trained on.

measure.py     base against tuned on the same validation rows
gate.py        whether the tuned model may be deployed
skew_check.py  whether requests have the tokens of the training
"""
