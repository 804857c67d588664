"""The plan of a FineTunedModel.

plan_model.py  the status: conditions, columns, users of the model, Events
inspection.py  the inspect Jobs, and what they found
"""
