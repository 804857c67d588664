"""How the weights of a model change: the method, its hyper-parameters, and the states to resume from."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import (
    rule,
    rules,
)


class Lora(Document):
    """Low-rank adapters (Hu et al. 2021), as in peft.LoraConfig."""

    rank: Annotated[int, Field(ge=1, le=512)] | None = None
    """Inner dimension of the adapters; left out: from the number of examples."""
    alpha: Annotated[float, Field(gt=0, le=4096)] | None = None
    """The adapters are scaled by alpha / rank; left out: twice the rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0
    """Dropout on the adapters' input."""
    target_modules: Annotated[list[Annotated[str, Field(max_length=128, min_length=1)]], Field(max_length=32, min_length=1)] = [
        "all-linear"
    ]
    """Names of the modules that get an adapter; ["all-linear"] is every linear layer but the head."""


class Method(Document):
    """How the weights change."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(rule("self.type == 'lora' || !has(self.lora)", "lora is used with type lora only", fieldPath=".lora"))
    }
    type: Literal["lora", "full"] = "lora"
    """lora trains adapters and merges them at the end; full trains all weights."""
    lora: Lora | None = None
    """Left out with type lora: rank and alpha from the data, no dropout, all linear layers."""
    loss_on: Literal["assistant", "all"] = "assistant"
    """Learn the assistant's words (the completion, the summary) only, or every token. Without meaning for classification."""


class Hyperparameters(Document):
    """What is left out is decided by prepare; the value and its reason are shown in status.hyperparameters."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("!(has(self.epochs) && has(self.maxSteps))", "set epochs or maxSteps, not both"),
            rule(
                "!(has(self.learningRate) && has(self.learningRateMultiplier))",
                "set learningRate or learningRateMultiplier, not both: the multiplier is of the automatic learning rate",
            ),
        )
    }
    epochs: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Passes over the training rows."""
    max_steps: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """Optimizer steps, instead of epochs."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Examples per optimizer step over all processes (the global batch)."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Peak learning rate."""
    learning_rate_multiplier: Annotated[float, Field(gt=0, le=100)] | None = None
    """The automatic learning rate times this."""
    scheduler: Literal["linear", "cosine", "constant"] | None = None
    """How the learning rate falls after the warm-up."""
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] | None = None
    """Decoupled weight decay (AdamW)."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Gradients are clipped to this norm."""
    max_sequence_length: Annotated[int, Field(ge=8, le=1048576)] | None = None
    """Longer examples are cut at the end; status.dataset.truncatedExamples says how many."""
    precision: Literal["bf16", "fp32"] | None = None
    """Number format of the computation."""
    gradient_checkpointing: bool | None = None
    """Compute activations again in the backward pass instead of keeping them: less memory, about a third slower. Left out: only
    where the training does not fit without it."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """Decides the order of rows, dropout and new weights."""


class Checkpoints(Document):
    """Complete states to resume from, in the workspace."""

    every_steps: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """Left out: a tenth of the run."""
    keep: Annotated[int, Field(ge=1, le=100)] = 2
    """How many of the newest are kept."""
