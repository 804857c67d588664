"""The plan of a ModelDeployment.

plan_deployment.py  the decision, and its status
serving.py          whether the model may be served, and what a rollout is pinned to
availability.py     how the rollout stands
"""
