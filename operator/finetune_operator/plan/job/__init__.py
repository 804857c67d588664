"""The plan of a FineTuneJob: a chain of small policies (plan_job.py).

plan_job.py       the chain, and the plan of a job that is over
view.py           what a policy sees (View) and answers (Step)
attempts.py       the attempts in the status, their Jobs and pods
sync_attempts.py  brings the attempts up to what is observed
results.py        what a stage's result adds to the status
prepared.py       the figures of prepare in the status
status.py         from a decision to the status: conditions, phase, columns, Events
words.py          reasons as a column shows them
overrides.py      pod fields that the administrator has forbidden
base.py           the base model of a job
output.py         the name of the model to make
children.py       config map, claims and Service of a stage
launch.py         creates the Job of an attempt, records the next attempt
settling.py       the first seconds of an attempt
startup.py        between the Job and its running pods
giving_up.py      attempts that did not start within their limits
running.py        progress of a running stage
stop.py           cancel, deadline, pause
time_limits.py    active time and deadline
workspace.py      stages that must run again
register.py       creates the FineTunedModel
release.py        what a job that is over lets go of
"""
