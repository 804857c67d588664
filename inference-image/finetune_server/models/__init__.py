"""From a verified model directory to a model that is ready to answer.

- `served_model`: a language model or a classifier, with its engine
- `load`: verifies, opens and tests the model that the program arguments name
- `self_test`: the test requests
"""
