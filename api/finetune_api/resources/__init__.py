"""Contract 1: the custom resources of group finetune.dev, written once as pydantic models.

    finetune_job.py         FineTuneJob
    finetune_job_status.py  its status
    dataset.py              rows to train and to validate on
    method.py               method and objective
    learning.py             strategy, hyperparameters, checkpoints
    stages.py               pods of preparation, training and publishing
    evaluation.py           evaluation and gate
    export.py               artifacts to export
    tracking.py             trackers of the training
    source.py               addresses of data and weights
    finetuned_model.py      FineTunedModel
    model_deployment.py     ModelDeployment
    common.py               types that several kinds share
    kinds.py                the three kinds with names, columns and sub-resources

`make crds` turns them into crds/, the chart's copy and docs/reference.md. A field is here only if it works.
"""

GROUP = "finetune.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
