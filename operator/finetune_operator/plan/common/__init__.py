"""Shared by the plans of all three kinds.

observed.py      what a plan reads: one snapshot for each kind
plan.py          what a plan answers: status, objects to apply, create and delete, Events
conditions.py    conditions of a status
clock.py         times and durations of a status
blocked.py       why pods do not start
outcome.py       how a Job ended
advice.py        what to do next, by the reason
shortcomings.py  Exported, BetterThanBase, ServedAsTrained: conditions and Events
"""
