"""The plan of a FineTunedModel.

plan_model.py  the status: conditions, columns, Events
inspection.py  the inspect Jobs, and what they found
usage.py       who uses the model
"""
