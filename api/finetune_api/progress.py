"""Contract 3: the progress line. Rank 0 of a stage prints one JSON line on standard output every few seconds.

The operator reads the tail of the pod's log, so this works through every network policy and service mesh.
"""

import json

from pydantic import ValidationError

from finetune_api.bounded import Count, ShownCount, ShownReal, ShownSignedReal
from finetune_api.document import LenientDocument

PREFIX = '{"finetuneProgress":'


class CheckpointFigures(LenientDocument):
    """A complete checkpoint in the workspace."""

    step: Count
    loss: ShownReal = None
    """Training loss of its step."""
    validation_loss: ShownReal = None
    """None if its step was not validated."""
    size_bytes: ShownCount = None
    best: bool = False
    """It has the lowest validation loss of those that are there."""
    uri: str | None = None
    """Of its copy in the job's object store."""


class MicroBatches(LenientDocument):
    """How steps are computed, as the ranks found the memory: prepare may have planned otherwise."""

    tokens: Count
    """Token budget of a micro-batch."""
    accumulation: Count
    """Micro-batches of an optimizer step on one process, at most."""
    gradient_checkpointing: bool = False


class Progress(LenientDocument):
    """Where a stage stands. Times are seconds, losses nats per supervised token. A figure that no status can hold is left out."""

    stage: str
    activity: str
    """What is being done now, for people: "training", "evaluating the base model", "exporting to ONNX"."""
    step: ShownCount = None
    total_steps: ShownCount = None
    epoch: ShownReal = None
    loss: ShownReal = None
    validation_loss: ShownReal = None
    """Of the latest validation."""
    validation_accuracy: ShownReal = None
    """Share of the supervised tokens (of a classifier: labels) that the latest validation found to be predicted correctly."""
    reward_accuracy: ShownReal = None
    """Share of the step's pairs whose preferred answer has the higher reward; of rated answers, share of those that the model finds more
    likely than the base if they are desirable, less likely if not."""
    reward_margin: ShownSignedReal = None
    """Mean difference between the rewards of a pair's answers; difference between the mean rewards of desirable and undesirable ones."""
    kl: ShownReal = None
    """Of rated answers: estimate of the divergence from the base, in nats."""
    learning_rate: ShownReal = None
    grad_norm: ShownReal = None
    """Of the step's gradient, before clipping."""
    tokens_per_second: ShownReal = None
    mfu: ShownReal = None
    """Model FLOPs utilization: share of the GPUs' peak speed that goes into the model's own operations; None where the GPU is not known."""
    gpu_utilization: ShownReal = None
    """Share of the last second in which rank 0's GPU computed anything (NVML)."""
    gpu_memory_bytes: ShownCount = None
    """Most memory of rank 0's GPU that torch has reserved at once."""
    host_memory_bytes: ShownCount = None
    """Most memory that rank 0's process has used at once."""
    eta_seconds: ShownReal = None
    micro_batches: MicroBatches | None = None
    checkpoint_step: ShownCount = None
    """The newest complete checkpoint's step."""
    checkpoints: list[CheckpointFigures] = []
    """The complete ones, the newest first; empty where there is none yet, or this attempt has not written one."""
    overfitting: str = ""
    """The figures, if the validation loss rises while the training loss falls."""

    def line(self) -> str:
        """The line to print, without a newline."""
        return json.dumps({"finetuneProgress": self.to_dict()}, separators=(",", ":"))


class _Line(LenientDocument):
    finetune_progress: Progress


def last_progress(log_tail: str) -> Progress | None:
    """The newest well-formed progress line in a log's tail, or None. A torn or foreign line is passed over, whatever it holds."""
    for line in reversed(log_tail.splitlines()):
        if line.startswith(PREFIX):
            try:
                # pydantic's own parser: its depth is limited, and it takes no half characters.
                return _Line.from_json(line).finetune_progress
            except ValidationError:
                continue
    return None
