"""What publish does differently for language models and classifiers, behind one interface.

An implementation knows its held-out rows and how to load, score, save and export one model; it holds none.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from finetune_api.model_directory import Parity, Scores
from finetune_trainer.publish.draft import Draft
from finetune_trainer.publish.inputs import Inputs
from finetune_trainer.publish.phases import Phases
from finetune_trainer.tasks import find_task

Show = Callable[[int, int], None]
SCORED_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Padded tokens of a forward pass that scores, at most: publish may have no GPU where train had one, and its pod less memory."""


def scored_tokens(model: Any, micro_batch_tokens: int) -> int:
    """The budget of a forward pass that scores this model: what a training step had, within what its device takes."""
    return min(micro_batch_tokens, SCORED_TOKENS[next(model.parameters()).device.type])


class Kind(Protocol):
    """One kind of model."""

    @property
    def examples(self) -> int:
        """Held-out rows."""

    @property
    def tokens(self) -> int:
        """What of them is scored, in tokens."""

    def load(self, folder: Path, precision: str, device: str) -> Any:
        """The model of a Hugging Face folder, in eval mode."""

    def score(self, model: Any, show: Show) -> Scores:
        """Measures a model on the held-out rows; `show(done, total)` is told how far it is."""

    def save(self, model: Any, folder: Path) -> None:
        """Writes a Hugging Face folder, the tokenizer's files included."""

    def export(self, draft: Draft, rows: int, phases: Phases) -> Parity:
        """Writes onnx/fp32 from the files in model/ and proves it on so many held-out rows."""


def kind_of(inputs: Inputs) -> Kind:
    """The kind of the job's task."""
    from finetune_trainer.classification.labelling import labelling_of
    from finetune_trainer.publish.classifier import ClassifierKind
    from finetune_trainer.publish.language_model import LanguageModelKind

    learner = find_task(inputs.config.task).learner
    if learner == "language":
        return LanguageModelKind(inputs)
    return ClassifierKind(inputs, labelling_of(learner, inputs.prepared))
