"""From a verified model directory to a model that is ready to answer.

served_model.py  a language model or a classifier, with its engine
load.py          verifies, opens and tests the model that the program arguments name
self_test.py     the test requests
"""
