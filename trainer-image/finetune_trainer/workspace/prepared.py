"""prepared.json: the decisions of prepare, for train and publish. Every hyperparameter has a value here."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from finetune_api import CONTRACT_VERSION
from finetune_api.document import Document
from finetune_api.resources.learning import CheckpointingPolicy, EarlyStopping, Precision, Scheduler
from finetune_api.result import PrepareSummary
from finetune_api.run_config import RunMethod, RunStrategy
from finetune_trainer.workspace.checksums import FileSum

HEADROOM = 0.9
"""Share of the memory that a choice may fill."""


class ResolvedHyperparameters(Document):
    """finetune_api's Hyperparameters with all values set."""

    total_steps: int
    """Optimizer steps of the whole run."""
    steps_per_epoch: int
    batch_size: int
    """Examples per optimizer step over all processes."""
    learning_rate: float
    optimizer: str = "adamw"
    scheduler: Scheduler
    shuffle: bool = True
    """False: every epoch has the rows in their order."""
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    max_sequence_length: int
    precision: Precision
    seed: int
    checkpoint_every: int
    """Steps between checkpoints."""
    validation_every: int | None = None
    """Steps between validations; None: there are none."""
    validation_examples: int = 0
    """Rows in the sample of a validation."""
    early_stopping: EarlyStopping | None = None
    load_best_model_at_end: bool = False
    """The weights with the lowest validation loss are the result."""
    neftune_noise: float | None = None
    gradient_checkpointing: bool = False
    gradient_checkpointing_policy: CheckpointingPolicy = "full"
    micro_batch_tokens: int
    """Token budget of one forward pass: the examples of a step are divided into micro-batches of at most this many tokens (a longer
    example forms its own micro-batch)."""


class MicroBatchNeed(Document):
    """A way to train, and the bytes that a process needs for it."""

    micro_batch_tokens: int
    gradient_checkpointing: bool
    need: int


class PinnedCode(Document):
    """The code of a user's own loss, which lies in the workspace."""

    name: str
    """As messages call the file that it was read from: configmap://losses/loss.py."""
    function: str
    sha256: str


Pooling = Literal["mean", "cls"]
"""The mean over a text's tokens, or the vector of its first one."""


class Prepared(Document):
    """The content of prepared.json, which is written after all files that it lists."""

    contract_version: int = CONTRACT_VERSION
    spec_digest: str
    base_path: str
    """Folder of the base model: base/ in the workspace, or a mounted volume."""
    hyperparameters: ResolvedHyperparameters
    micro_batches: list[MicroBatchNeed] = []
    """The fastest first, where the GPU's memory was not known to prepare: the ranks choose by what they find."""
    method: RunMethod
    """With a value for every setting that it uses."""
    strategy: RunStrategy = RunStrategy(type="ddp")
    """How the processes train one model, without open settings."""
    eos_token_ids: list[int] = []
    """Tokens that end an answer (generation_config.json, tokenizer_config.json)."""
    chat_template: str | None = None
    """The chat template with which the rows were rendered and the model is published; None: the base's own, or none."""
    labels: list[str] = []
    """For a classifier: names by class index, sorted."""
    multi_label: bool = False
    """For a classifier: an example may have several labels."""
    pooling: Pooling | None = None
    """For an embedding model: how the vectors of a text's tokens become one."""
    custom_loss: PinnedCode | None = None
    summary: PrepareSummary
    files: dict[str, FileSum]
    """Checksums of the written rows by path in the workspace. If absent, prepare must run again: older versions also wrote no validation
    requests."""

    def fitted_to(self, free: int) -> "Prepared":
        """With the first of `micro_batches` that fits into `free` bytes of a GPU, with some room if possible; unchanged where none does."""
        fitting = (way for room in (HEADROOM, 1.0) for way in self.micro_batches if way.need <= room * free)
        if (way := next(fitting, None)) is None:
            return self
        values = {"micro_batch_tokens": way.micro_batch_tokens, "gradient_checkpointing": way.gradient_checkpointing}
        return self.model_copy(update={"hyperparameters": self.hyperparameters.model_copy(update=values)})

    def settings(self) -> dict[str, float | int | str | bool]:
        """Every hyperparameter and setting of the method as one value, by its name: earlyStoppingPatience, loraRank."""
        method = self.method.model_dump(by_alias=True, exclude_none=True, include={"lora", "qlora", "ia3"})
        code = {"customLossSha256": self.custom_loss.sha256} if self.custom_loss else {}
        return {"method": self.method.type} | code | dict(flat(self.hyperparameters.model_dump(by_alias=True, exclude_none=True) | method))

    @property
    def identity(self) -> str:
        """Identifies spec, base, data, the code of a loss and the format of checkpoints: a checkpoint can be resumed by a run with the same
        identity."""
        strategy = f" {self.strategy.type}" if self.strategy.type != "ddp" else ""
        code = f" {self.custom_loss.sha256}" if self.custom_loss else ""
        return f"{self.spec_digest} {self.summary.base_digest} {self.summary.dataset.digest}{strategy}{code}"


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | int | str | bool]]:
    """Values of nested documents, each under the joined names in camelCase; a list as one text."""
    for name, value in values.items():
        joined = f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name
        if isinstance(value, dict):
            yield from flat(value, joined)
        else:
            yield joined, ",".join(value) if isinstance(value, list) else value
