"""prepared.json: what prepare decided, for train and publish. Every hyper-parameter has a value here."""

from typing import Literal

from finetune_api import CONTRACT_VERSION
from finetune_api.document import Document
from finetune_api.resources.learning import Lora
from finetune_api.result import PrepareSummary
from finetune_trainer.checksums import FileSum


class ResolvedHyperparameters(Document):
    """As finetune_api's Hyperparameters, but nothing is left open."""

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
    """Token budget of one forward pass: a step's examples are cut into micro-batches of at most so many tokens (one
    longer example is a micro-batch by itself)."""


class Prepared(Document):
    """The content of prepared.json, which is written when all that it speaks of is on disk."""

    contract_version: int = CONTRACT_VERSION
    spec_digest: str
    base_path: str
    """Folder of the base model: the workspace's base/, or the mounted volume it was given on."""
    hyperparameters: ResolvedHyperparameters
    lora: Lora | None = None
    """With rank and alpha decided; None for full fine-tuning."""
    eos_token_ids: list[int] = []
    """Tokens that end an answer (generation_config.json, tokenizer_config.json)."""
    chat_template: str | None = None
    """The template that the rows were rendered with, which the model is published with; None: the base's own, or none."""
    labels: list[str] = []
    """Of a classifier: names by class index, sorted."""
    multi_label: bool = False
    """Of a classifier: several labels may hold for one example."""
    summary: PrepareSummary
    files: dict[str, FileSum]
    """The rows as they were written, by their path below the workspace. Without it prepare has to run again: older versions left no
    held-out requests, either."""

    @property
    def identity(self) -> str:
        """What is learned from what: checkpoints of one identity can be gone on with."""
        return f"{self.spec_digest} {self.summary.base_digest} {self.summary.dataset.digest}"
