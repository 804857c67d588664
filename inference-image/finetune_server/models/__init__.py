"""From a verified model directory to a model that is ready to answer.

- `served_model`: a language model or a classifier with its engine, and how it is loaded
- `prompts`: how a published language model's prompts are made
- `self_test`: tries a model before it is called ready
"""
