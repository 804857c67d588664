"""Contract 3: the progress line. Rank 0 of a stage prints one JSON line on standard output every few seconds.

The operator reads the tail of the pod's log, so this works through every network policy and service mesh.
"""

import json

from pydantic import ValidationError

from finetune_api.document import LenientDocument

PREFIX = '{"finetuneProgress":'


class Progress(LenientDocument):
    """Where a stage stands. Times are seconds, losses nats per supervised token."""

    stage: str
    activity: str
    """What is being done now, for people: "training", "evaluating the base model", "exporting to ONNX"."""
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    checkpoint_step: int | None = None
    """The newest complete checkpoint's step."""

    def line(self) -> str:
        """The line to print, without a newline."""
        return json.dumps({"finetuneProgress": self.to_dict()}, separators=(",", ":"))


def last_progress(log_tail: str) -> Progress | None:
    """The newest well-formed progress line in a log's tail, or None. A torn or foreign line is passed over."""
    for line in reversed(log_tail.splitlines()):
        if line.startswith(PREFIX):
            try:
                return Progress.model_validate(json.loads(line)["finetuneProgress"])
            except (ValueError, ValidationError):
                continue
    return None
