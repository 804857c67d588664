"""The run config: a JSON file in a ConfigMap that every stage pod of a job mounts.

It is what a FineTuneJob's spec means inside a pod: claims and config maps have become file paths, Secrets have become
prefixes of environment variables. What has its default's value is left out. The same file works on a laptop:
`python -m finetune_trainer prepare --run run.json`.
"""

import json
from typing import Annotated

from pydantic import Field, JsonValue

from finetune_api import CONTRACT_VERSION
from finetune_api.document import Document
from finetune_api.resources.dataset import DatasetLimits, Split
from finetune_api.resources.evaluation import Evaluation
from finetune_api.resources.learning import Checkpoints, Hyperparameters, TrainingStrategy
from finetune_api.resources.method import Method, Sft
from finetune_api.resources.source import Columns, RowFormat, RowSlice, RowTemplate, shown_address
from finetune_api.resources.tracking import Tracking

RUN_CONFIG_FILE = "run.json"
CPUS_VARIABLE = "FINETUNE_CPUS"
"""Environment variable of a stage's pod: the cores that its resources ask for; absent where they say nothing."""

HALVE_VARIABLE = "FINETUNE_HALVE_MICRO_BATCHES"
"""Environment variable of a training's pod: "1" after an attempt that ran out of memory."""


class JobIdentity(Document):
    """Which FineTuneJob this run belongs to; written into results and lineage."""

    name: str
    namespace: str = "default"
    uid: str = ""
    spec_digest: str = ""
    """sha256 of the parts of the spec that determine the model (`finetune_api.resources.finetune_job.spec_digest`)."""


class RunSource(Document):
    """Where bytes come from, as the stage program sees it."""

    uri: str
    """A path, file:///path, or an address as in the spec: s3://, gs://, abfs://, hf://, https://, http://."""
    shown_as: str = ""
    """The source as the user wrote it ("pvc://data/train.jsonl"), for messages; empty: the uri itself."""
    env_prefix: str = ""
    """Credentials are in environment variables with this prefix: <prefix>AWS_ACCESS_KEY_ID, ..."""

    @property
    def name(self) -> str:
        """How to call this source in a message."""
        return self.shown_as or shown_address(self.uri)


class RunRows(RunSource):
    """A file of rows and how to read it; see finetune_api.resources.source.DataSource."""

    format: RowFormat | None = None
    columns: Columns = {}
    template: RowTemplate | None = None
    slice: RowSlice | None = None


class RunDataset(Document):
    """The training rows and the held-out rows: `validation` or `split`, exactly one."""

    train: RunRows
    validation: RunRows | None = None
    split: Split | None = None
    limits: DatasetLimits = DatasetLimits()


class RunBase(Document):
    """The model to start from: a Hugging Face folder (config.json, tokenizer.json, *.safetensors)."""

    source: RunSource
    fine_tuned_model: str | None = None
    """Name of the FineTunedModel that `source` is the directory of; then the weights lie in `source/model`."""


class RunPaths(Document):
    """Folders inside the pod; both are created when absent."""

    workspace: str = "/workspace"
    model: str = "/model"


class RunWorld(Document):
    """How many processes train together. On a CPU a node runs one process."""

    nodes: int = Field(default=1, ge=1)
    processes_per_node: int = Field(default=1, ge=1)


class RunHardware(Document):
    """What one training process will have, as far as it is known before it runs. Bytes."""

    memory: int | None = None
    """Of its GPU; on a CPU the pod's memory limit."""
    memory_from: str = ""
    """Who says so, for messages: "training.gpuMemory"."""
    gpus: int = 0
    """Of the whole training."""
    host_memory: int | None = None
    """Memory limit of a training pod with GPUs."""
    gpu_product: str = ""
    """As the node label nvidia.com/gpu.product has it: "NVIDIA-H100-80GB-HBM3"."""
    gpu_driver: int | None = None
    """Major version of the oldest NVIDIA driver on a node that the training may get."""
    cpus: float | None = None
    """Cores of a training pod."""
    price_per_gpu_hour: float | None = None
    currency: str = ""


class RunNetwork(Document):
    """What the administrator allows the stages to reach."""

    allowed_private: list[str] = []
    """Networks (CIDR) and host names that http(s) sources may name although their addresses are not public."""


class RunLimits(Document):
    """Seconds."""

    start_deadline: float = 900
    """A train process that has not met all its peers by then gives up with PEER_LOST."""
    stall_timeout: float = 1800
    """A stage without progress for this long (a training: on any rank) ends with STALLED."""


class RunCustomLoss(RunSource):
    """The file with the code of a loss."""

    function: str = "loss"


class RunSft(Sft):
    """As in the spec, but with a file for the ConfigMap."""

    custom_loss: RunCustomLoss | None = None  # type: ignore[assignment]


class RunMethod(Method):
    """As in the spec, but with any method and objective that the trainer's registries know: installed packages add theirs."""

    sft: RunSft | None = None

    type: Annotated[str, Field(max_length=64)] = "lora"  # type: ignore[assignment]
    objective: Annotated[str, Field(max_length=64)] = "sft"  # type: ignore[assignment]


class RunStrategy(TrainingStrategy):
    """As in the spec, but with any strategy that the trainer's registry knows: installed packages add theirs."""

    type: Annotated[str, Field(max_length=64)] = "auto"  # type: ignore[assignment]


class RunHyperparameters(Hyperparameters):
    """As in the spec, but with any optimizer that the trainer's registry knows: installed packages add theirs."""

    optimizer: Annotated[str, Field(max_length=64)] | None = None  # type: ignore[assignment]


Exports = dict[Annotated[str, Field(min_length=1, max_length=32)], dict[str, JsonValue]]
"""Artifacts that the trainer writes beside the weights, by their names, with their settings (`resources.export`)."""


class RunConfig(Document):
    """Everything that a stage needs to know, besides its attempt number and node rank (program arguments)."""

    contract_version: int = Field(default=CONTRACT_VERSION, ge=CONTRACT_VERSION, le=CONTRACT_VERSION)
    job: JobIdentity
    task: str = Field(default="chat", min_length=1, max_length=63)
    """A task that the trainer has (finetune_trainer.tasks)."""
    base: RunBase
    dataset: RunDataset
    method: RunMethod = RunMethod()
    strategy: RunStrategy = RunStrategy()
    hyperparameters: RunHyperparameters = RunHyperparameters()
    checkpoints: Checkpoints = Checkpoints()
    evaluation: Evaluation = Evaluation()
    export: Exports = {}
    tracking: Tracking = Tracking()
    """The credentials of its trackers are in environment variables with the prefixes `TRACKER_ENV_PREFIX`."""
    output_model: str
    paths: RunPaths = RunPaths()
    world: RunWorld = RunWorld()
    hardware: RunHardware = RunHardware()
    network: RunNetwork = RunNetwork()
    limits: RunLimits = RunLimits()
    image: str = ""
    """The trainer image that the job is pinned to, for the lineage."""

    def to_json(self, *, indent: int | None = None) -> str:
        """JSON text in camelCase, without defaults: an earlier trainer image refuses a field that it does not know, and so only where the
        spec sets one."""
        chosen = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        return json.dumps({"contractVersion": self.contract_version} | chosen, indent=indent, ensure_ascii=False)
