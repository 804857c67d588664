"""prepared.json: the decisions of prepare, for train and publish. Every hyperparameter has a value here."""

from typing import Literal

from finetune_api import CONTRACT_VERSION
from finetune_api.document import Document
from finetune_api.resources.learning import Lora
from finetune_api.result import PrepareSummary
from finetune_trainer.checksums import FileSum


class ResolvedHyperparameters(Document):
    """finetune_api's Hyperparameters with all values set."""

    total_steps: int
    """Optimizer steps of the whole run."""
    steps_per_epoch: int
    batch_size: int
    """Examples per optimizer step over all processes."""
    learning_rate: float
    scheduler: Literal["linear", "cosine", "constant"]
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    max_sequence_length: int
    precision: Literal["bf16", "fp32"]
    seed: int
    checkpoint_every: int
    """Steps between checkpoints."""
    gradient_checkpointing: bool = False
    micro_batch_tokens: int
    """Token budget of one forward pass: the examples of a step are divided into micro-batches of at most this many tokens (a longer
    example forms its own micro-batch)."""


class Prepared(Document):
    """The content of prepared.json, which is written after all files that it lists."""

    contract_version: int = CONTRACT_VERSION
    spec_digest: str
    base_path: str
    """Folder of the base model: base/ in the workspace, or a mounted volume."""
    hyperparameters: ResolvedHyperparameters
    lora: Lora | None = None
    """With rank and alpha set; None for full fine-tuning."""
    eos_token_ids: list[int] = []
    """Tokens that end an answer (generation_config.json, tokenizer_config.json)."""
    chat_template: str | None = None
    """The chat template with which the rows were rendered and the model is published; None: the base's own, or none."""
    labels: list[str] = []
    """For a classifier: names by class index, sorted."""
    multi_label: bool = False
    """For a classifier: an example may have several labels."""
    summary: PrepareSummary
    files: dict[str, FileSum]
    """Checksums of the written rows by path in the workspace. If absent, prepare must run again: older versions also wrote no validation
    requests."""

    @property
    def identity(self) -> str:
        """Identifies spec, base and data: a checkpoint can be resumed by a run with the same identity."""
        return f"{self.spec_digest} {self.summary.base_digest} {self.summary.dataset.digest}"
