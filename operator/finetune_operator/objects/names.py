"""Names and labels of the children: one place, so that builders, caches and plans agree."""

from finetune_api.resources.finetune_job_status import StageName

FIELD_MANAGER = "finetune-operator"
MANAGED_BY = {"app.kubernetes.io/managed-by": "finetune-operator"}
MANAGED_BY_SELECTOR = "app.kubernetes.io/managed-by=finetune-operator"

JOB_LABEL = "finetune.dev/job"
"""On every child of a FineTuneJob; its value is the FineTuneJob's name."""
MODEL_LABEL = "finetune.dev/model"
"""On inspect Jobs, on model claims (the guard protects them), and on server pods: the FineTunedModel's name."""
MODEL_UID_LABEL = "finetune.dev/model-uid"
"""On server pods: which model they mount."""
CLAIM_UID_LABEL = "finetune.dev/claim-uid"
"""On server pods: the claim that they mount, so that those of a ReadWriteOnce claim meet on one node."""
DEPLOYMENT_LABEL = "finetune.dev/deployment"
"""On every child of a ModelDeployment."""
STAGE_LABEL = "finetune.dev/stage"
ATTEMPT_LABEL = "finetune.dev/attempt"
SPEC_DIGEST_ANNOTATION = "finetune.dev/spec-digest"
"""On a FineTunedModel that a job has made: what it was trained from."""
JOB_UID_ANNOTATION = "finetune.dev/job-uid"
"""On a FineTunedModel that a job has made: the job's uid. The job does not own the model."""
REVISION_ANNOTATION = "finetune.dev/revision"
"""On a server's Deployment: digest of the status.revision that it was applied for."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
POD_JOB_LABEL = "batch.kubernetes.io/job-name"
"""On the pods of a Job, by the Job controller."""
NAME_LIMIT = 40
"""Characters of a name of our objects."""
STAGE_CONTAINER = "trainer"
SERVER_CONTAINER = "server"
"""The one container of our pods; a mesh or a webhook may add others."""


def stage_job(job: str, stage: StageName, number: int) -> str:
    """Name of the batch Job of one attempt, and of the headless Service of a train attempt's pods."""
    return f"{job}-{stage}-{number}"


def workspace_claim(job: str) -> str:
    """Name of the workspace's claim."""
    return f"{job}-workspace"


def run_config_map(job: str) -> str:
    """Name of the config map that holds run.json."""
    return f"{job}-run"


def train_service(job: str) -> str:
    """Name of the headless Service through which the train pods find each other."""
    return f"{job}-train"


def model_claim(model: str) -> str:
    """Name of the model volume's claim."""
    return f"{model}-model"


def kept_names(output: str, job: str, uid: str) -> tuple[str, ...]:
    """Names for a job's model, the best first: the one asked for, and those that it is kept under when others have taken that."""
    told = f"{output}-from-{job}"
    return (output, *((told,) if job != output and len(told) <= NAME_LIMIT else ()), f"{output[: NAME_LIMIT - 9].rstrip('-')}-{uid[:8]}")


def inspect_job(model: str, number: int) -> str:
    """Name of an inspect Job."""
    return f"{model}-inspect-{number}"
