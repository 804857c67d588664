"""Shared by the plans of all three kinds.

observed.py    what a plan reads: one snapshot for each kind
plan.py        what a plan consists of: status, objects to apply, create and delete, Events
conditions.py  conditions of a status
clock.py       times and durations: how a status shows them, how long a plan waits
models.py      origin, readiness, scores and shortcomings of a model
overrides.py   `pod` fields that the administrator has forbidden
blocked.py     why pods do not start
outcome.py     how a Job ended
advice.py      the next step, by the reason
"""
