"""The batch Jobs of a FineTuneJob's stages: prepare, train, publish."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetune_api.resources.common import Pod, Resources
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import StageName
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.run_config import CPUS_VARIABLE, RUN_CONFIG_FILE, usable_cpus
from finetune_operator.build.batch_job import CONTAINER, batch_job
from finetune_operator.build.owner import child_metadata
from finetune_operator.build.placement import beside_training, within_reach_of_training
from finetune_operator.build.pod import DEFAULT_REQUESTS, Mount, PodShape
from finetune_operator.build.run_config import WORKSPACE_MOUNT
from finetune_operator.build.service import MASTER_PORT
from finetune_operator.build.sources import source_env_from, source_mounts
from finetune_operator.objects.names import (
    ATTEMPT_LABEL,
    JOB_LABEL,
    MANAGED_BY,
    QUEUE_LABEL,
    STAGE_LABEL,
    run_config_map,
    stage_job,
    train_service,
    workspace_claim,
)
from finetune_operator.objects.records import Meta
from finetune_operator.settings import Settings

RUN_CONFIG_FOLDER = "/etc/finetune"
NO_INSTANCE_CREDENTIALS = {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}
PREPARE_MEMORY = "8Gi"
"""Many times what prepare needs for the largest data sets that it was measured with."""
GRACE_SECONDS: Mapping[StageName, int] = {"prepare": 30, "train": 120, "publish": 30}
"""train writes a checkpoint before it goes."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """One attempt of one stage of a job."""

    meta: Meta
    spec: FineTuneJobSpec
    stage: StageName
    number: int
    image: str
    """The image that the job is pinned to; the stage's own pod.image goes before it."""
    base: ClaimSource | None = None
    """The claim of spec.base.fineTunedModel."""
    model_volume: str = ""
    """Name of the claim that publish writes the model to."""
    beside_training: bool = False
    """prepare runs where the training will, as a volume that it bound elsewhere was out of the training's reach."""

    @property
    def name(self) -> str:
        """Name of its Job."""
        return stage_job(self.meta.name, self.stage, self.number)

    @property
    def labels(self) -> dict[str, str]:
        """On the Job and on its pods."""
        return {**MANAGED_BY, JOB_LABEL: self.meta.name, STAGE_LABEL: self.stage, ATTEMPT_LABEL: str(self.number)}


def stage_job_object(run: StageRun, settings: Settings) -> dict[str, Any]:
    """The Job to POST. Its pods hold no Kubernetes credentials."""
    pod, resources, gpus = _wishes(run)
    train = run.stage == "train"
    shape = PodShape(
        container=CONTAINER,
        image=pod.image or run.image,
        args=_args(run),
        pod=pod,
        resources=resources,
        labels=run.labels,
        mounts=_mounts(run),
        gpus=gpus,
        env=_env(resources, settings),
        env_from=source_env_from(run.spec, run.stage),
        grace_seconds=GRACE_SECONDS[run.stage],
        more_spec={"restartPolicy": "Never", **({"subdomain": train_service(run.meta.name)} if train else {})},
    )
    queue = {QUEUE_LABEL: run.spec.queue_name} if run.spec.queue_name else {}
    metadata = child_metadata("FineTuneJob", run.meta, run.name, {**run.labels, **queue})
    return batch_job(metadata, shape, settings, pods=run.spec.training.nodes if train else 1)


def stage_gpus(spec: FineTuneJobSpec, stage: StageName) -> int:
    """GPUs that an attempt of the stage holds."""
    return {"prepare": 0, "train": spec.training.nodes * spec.training.gpus_per_node, "publish": spec.publishing.gpus}[stage]


def _args(run: StageRun) -> tuple[str, ...]:
    args = (run.stage, "--run", f"{RUN_CONFIG_FOLDER}/{RUN_CONFIG_FILE}", "--attempt", str(run.number))
    if run.stage != "train":
        return args
    master = f"{run.name}-0.{train_service(run.meta.name)}:{MASTER_PORT}"
    return (*args, "--node-rank", "$(JOB_COMPLETION_INDEX)", "--master", master)


def _env(resources: Resources, settings: Settings) -> tuple[dict[str, Any], ...]:
    """The cores that the pod may use, which without a limit the container cannot tell; and that the node's own role is not for it."""
    cores = usable_cpus(resources)
    asked = [{"name": CPUS_VARIABLE, "value": f"{cores:g}"}] if cores else []
    return (*asked, *([] if settings.instance_credentials else [NO_INSTANCE_CREDENTIALS]))


def _wishes(run: StageRun) -> tuple[Pod, Resources, dict[str, int]]:
    spec = run.spec
    name = spec.training.gpu_resource_name
    match run.stage:
        case "prepare":
            place = beside_training if run.beside_training else within_reach_of_training
            return place(spec.preparation.pod, spec), with_memory_limit(spec.preparation.resources), {}
        case "train":
            return spec.training.pod, spec.training.resources, {name: spec.training.gpus_per_node}
        case "publish":
            return beside_training(spec.publishing.pod, spec), spec.publishing.resources, {name: spec.publishing.gpus}


def with_memory_limit(resources: Resources) -> Resources:
    """prepare reads what strangers wrote: where the spec says nothing of memory, a file cannot take the node's."""
    if "memory" in resources.requests or "memory" in resources.limits:
        return resources
    requests = {**resources.requests, "memory": DEFAULT_REQUESTS["memory"]}  # a limit alone would be the request, too
    return resources.model_copy(update={"requests": requests, "limits": {**resources.limits, "memory": PREPARE_MEMORY}})


def _mounts(run: StageRun) -> tuple[Mount, ...]:
    workspace = run.spec.workspace.claim_name or workspace_claim(run.meta.name)
    mounts = [
        Mount("run-config", RUN_CONFIG_FOLDER, config_map=run_config_map(run.meta.name)),
        Mount("workspace", WORKSPACE_MOUNT, claim=workspace, read_only=False),
        *source_mounts(run.spec, run.stage, run.base),
    ]
    if run.stage == "publish":
        mounts.append(Mount("model", "/model", claim=run.model_volume, read_only=False))
    return tuple(mounts)
