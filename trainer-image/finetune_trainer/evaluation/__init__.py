"""Measures a model on held-out rows and compares it with another. Knows tokens and scores, nothing of files to publish."""
