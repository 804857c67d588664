"""Names, labels and annotations of the children."""

from finetune_api.resources.finetune_job_status import StageName

FIELD_MANAGER = "finetune-operator"
MANAGED_BY = {"app.kubernetes.io/managed-by": "finetune-operator"}
MANAGED_BY_SELECTOR = "app.kubernetes.io/managed-by=finetune-operator"

JOB_LABEL = "finetune.dev/job"
"""On every child of a FineTuneJob: the name of the job."""
MODEL_LABEL = "finetune.dev/model"
"""On inspect Jobs, on model claims (which the guard protects) and on server pods: the name of the FineTunedModel."""
MODEL_UID_LABEL = "finetune.dev/model-uid"
"""On server pods: uid of the model that they mount."""
CHECKPOINT_LABEL = "finetune.dev/checkpoint"
"""On server pods: the step of the model's checkpoint that they serve; absent where they serve the model itself."""
CLAIM_UID_LABEL = "finetune.dev/claim-uid"
"""On server pods: uid of the claim that they mount, so that pods with the same ReadWriteOnce claim are scheduled to one node."""
DEPLOYMENT_LABEL = "finetune.dev/deployment"
"""On every child of a ModelDeployment: its name."""
STAGE_LABEL = "finetune.dev/stage"
ATTEMPT_LABEL = "finetune.dev/attempt"
SPEC_DIGEST_ANNOTATION = "finetune.dev/spec-digest"
"""On a FineTunedModel that a job created: digest of the spec of the job."""
JOB_UID_ANNOTATION = "finetune.dev/job-uid"
"""On a FineTunedModel that a job created: uid of the job, which does not own the model."""
REVISION_ANNOTATION = "finetune.dev/revision"
"""On the Deployment of a server: digest of the status.revision that it was applied for."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
POD_JOB_LABEL = "batch.kubernetes.io/job-name"
"""On the pods of a Job, by the Job controller."""
NAME_LIMIT = 40
"""Maximum length of the names of our objects."""
STAGE_CONTAINER = "trainer"
SERVER_CONTAINER = "server"
"""The container of our pods; a service mesh or a webhook may add others."""


def stage_job(job: str, stage: StageName, number: int) -> str:
    """Name of the batch Job of one attempt, and of the headless Service of a train attempt's pods."""
    return f"{job}-{stage}-{number}"


def workspace_claim(job: str) -> str:
    """Name of the claim of the workspace."""
    return f"{job}-workspace"


def run_config_map(job: str) -> str:
    """Name of the ConfigMap with run.json."""
    return f"{job}-run"


def train_service(job: str) -> str:
    """Name of the headless Service of the train pods."""
    return f"{job}-train"


def model_claim(model: str) -> str:
    """Name of the claim of the model volume."""
    return f"{model}-model"


def kept_names(output: str, job: str, uid: str) -> tuple[str, ...]:
    """Names for the model of a job, in order of preference: the requested name, and the fallbacks when it is taken."""
    descriptive = f"{output}-from-{job}"
    unique = f"{output[: NAME_LIMIT - 9].rstrip('-')}-{uid[:8]}"
    return (output, descriptive, unique) if job != output and len(descriptive) <= NAME_LIMIT else (output, unique)


def inspect_job(model: str, number: int) -> str:
    """Name of an inspect Job."""
    return f"{model}-inspect-{number}"
