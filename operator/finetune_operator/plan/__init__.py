"""Decides: `plan(observed, now) -> Plan`, for each of our kinds. Pure: no clock, no client, no randomness.

job/         plan_job: what a FineTuneJob needs next
model/       plan_model: the inspection of a FineTunedModel and who uses it
deployment/  plan_deployment: the rollout of a ModelDeployment
common/      what the three share: snapshot and plan, conditions, why pods are blocked, how a Job ended
"""
