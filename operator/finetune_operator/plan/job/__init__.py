"""The plan of a FineTuneJob: a chain of small policies, each from a View to a Step.

plan_job.py       the chain, and the plan of a finished job
view.py           what a policy sees (View) and answers (Step)
attempts.py       the attempts in the status, their Jobs and pods
sync_attempts.py  updates the current attempt from what is observed
results.py        what the result of a stage adds to the status
status.py         from a decision to the status: conditions, phase, columns, Events

The policies, in the order of a job's life:
stop.py           cancel, deadline, pause
queue_name.py     whether queueName has an effect
preconditions.py  forbidden fields and code, and the base model
output.py         name and volume of the model to create
workspace.py      stages that must run again
launch.py         creates the Job of an attempt, records the next attempt
startup.py        between the Job and its running pods
running.py        progress of a running stage
finish.py         registers the model; deletes what a finished job no longer needs
"""
