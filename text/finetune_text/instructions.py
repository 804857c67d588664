"""Instructions that are added to the user's own text, in training and in requests alike."""

SUMMARIZE = "Summarize the following text.\n\n"
"""Before a document, for a chat model."""
SUMMARY_CUE = "\n\nSummary:"
"""After a document, for a model without a chat template."""
