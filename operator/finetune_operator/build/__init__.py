"""Builds child objects: pure functions from records to the dicts that the API server takes.

stages.py       the three stages of a FineTuneJob: everything that differs between them
stage_job.py    the Job of a stage
batch_job.py    a Job whose pods run once
pod.py          the pod template of all pods
placement.py    where the stages run, as far as the workspace volume determines it
run_config.py   the run config of a job
sources.py      mounts and credentials of datasets and base model
config_map.py   the ConfigMap with the run config
claim.py        workspace and model volume
service.py      the headless Service of the train stage
model.py        the FineTunedModel
inspect_job.py  the Job that verifies a model directory
server.py       Deployment and Service of a ModelDeployment
owner.py        owner references and labels
"""
