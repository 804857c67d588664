"""The batch Jobs of a FineTuneJob's stages: prepare, train, publish."""

from dataclasses import dataclass
from typing import Any

from finetune_api.resources.common import Resources
from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import StageName
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.run_config import CPUS_VARIABLE, HALVE_VARIABLE, RUN_CONFIG_FILE, usable_cpus
from finetune_operator.build.batch_job import batch_job
from finetune_operator.build.owner import child_metadata
from finetune_operator.build.placement import beside_training
from finetune_operator.build.pod import Mount, PodShape
from finetune_operator.build.run_config import WORKSPACE_MOUNT
from finetune_operator.build.service import MASTER_PORT
from finetune_operator.build.sources import checkpoint_env_from, source_env_from, source_mounts, tracker_env_from
from finetune_operator.build.stages import STAGES, StageDefinition
from finetune_operator.objects.names import (
    ATTEMPT_LABEL,
    JOB_LABEL,
    MANAGED_BY,
    QUEUE_LABEL,
    STAGE_CONTAINER,
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
NODE_NAME = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}


@dataclass(frozen=True, slots=True)
class StageRun:
    """One attempt of one stage of a job."""

    meta: Meta
    spec: FineTuneJobSpec
    stage: StageName
    number: int
    image: str
    """The image that the job is pinned to; pod.image of the stage takes precedence."""
    base: ClaimSource | None = None
    """The claim of spec.base.fineTunedModel."""
    model_volume: str = ""
    """Name of the claim that publish writes the model to."""
    beside_training: bool = False
    """prepare runs on the nodes for the training: the nodes for the training could not mount the volume that it bound elsewhere."""

    halve_micro_batches: bool = False
    """An earlier attempt of the training ran out of memory."""

    @property
    def definition(self) -> StageDefinition:
        """The row of the stage."""
        return STAGES[self.stage]

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
    stage, spec = run.definition, run.spec
    place = beside_training if run.beside_training else stage.placement
    pod, resources = place(stage.pod(spec), spec), stage.resources(spec)
    shape = PodShape(
        container=STAGE_CONTAINER,
        image=pod.image or run.image,
        args=_args(run),
        pod=pod,
        resources=resources,
        labels=run.labels,
        mounts=_mounts(run),
        gpus={spec.training.gpu_resource_name: stage.gpus_per_pod(spec)},
        env=_env(run, resources, settings),
        env_from=(
            *(source_env_from(spec) if stage.reads_sources else ()),
            *(tracker_env_from(spec, optional=stage.starts_untracked) if stage.tracked else ()),
            *checkpoint_env_from(spec, optional=stage.starts_untracked),
        ),
        grace_seconds=stage.grace_seconds,
        more_spec={"restartPolicy": "Never", **({"subdomain": train_service(run.meta.name)} if stage.distributed else {})},
    )
    queue = {QUEUE_LABEL: spec.queue_name} if spec.queue_name else {}
    metadata = child_metadata("FineTuneJob", run.meta, run.name, {**run.labels, **queue})
    return batch_job(metadata, shape, settings, pods=stage.pods(spec))


def _args(run: StageRun) -> tuple[str, ...]:
    args = (run.stage, "--run", f"{RUN_CONFIG_FOLDER}/{RUN_CONFIG_FILE}", "--attempt", str(run.number))
    if not run.definition.distributed:
        return args
    master = f"{run.name}-0.{train_service(run.meta.name)}:{MASTER_PORT}"
    return (*args, "--node-rank", "$(JOB_COMPLETION_INDEX)", "--master", master)


def _env(run: StageRun, resources: Resources, settings: Settings) -> tuple[dict[str, Any], ...]:
    """The number of usable CPU cores, which a container without a limit cannot see; the node, which errors of its GPUs name; and no
    credentials from the node's own role. Half the micro-batch is a variable, as the image of an older job knows no argument for it."""
    cores = usable_cpus(resources)
    halve = [{"name": HALVE_VARIABLE, "value": "1"}] if run.halve_micro_batches else []
    asked = [{"name": CPUS_VARIABLE, "value": f"{cores:g}"}] if cores else []
    return (*asked, *halve, NODE_NAME, *([] if settings.instance_credentials else [NO_INSTANCE_CREDENTIALS]))


def _mounts(run: StageRun) -> tuple[Mount, ...]:
    workspace = run.spec.workspace.claim_name or workspace_claim(run.meta.name)
    mounts = [
        Mount("run-config", RUN_CONFIG_FOLDER, config_map=run_config_map(run.meta.name)),
        Mount("workspace", WORKSPACE_MOUNT, claim=workspace, read_only=False),
        *source_mounts(run.spec, run.base, rows=run.definition.reads_sources),
    ]
    if run.definition.writes_model:
        mounts.append(Mount("model", "/model", claim=run.model_volume, read_only=False))
    return tuple(mounts)
