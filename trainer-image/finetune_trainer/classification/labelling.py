"""What a classifier learns of a text (or of its words): the labels by class index. Knows no model."""

from dataclasses import dataclass
from typing import Any, Literal

from finetune_trainer.failure import invalid
from finetune_trainer.workspace.prepared import Prepared

ClassifierName = Literal["sequence", "token"]
"""The learners of this room (finetune_trainer.tasks)."""


@dataclass(frozen=True)
class Labelling:
    """The labels by class index, and whether texts or tokens have them."""

    learner: ClassifierName
    labels: tuple[str, ...]
    multi_label: bool = False
    """Each label is judged by itself: several or none may hold."""

    @property
    def per_token(self) -> bool:
        """True where every token gets a label, False where the text gets one."""
        return self.learner == "token"

    def config(self) -> dict[str, Any]:
        """As fields of a Hugging Face config."""
        kind = "multi_label_classification" if self.multi_label else "single_label_classification"
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {label: index for index, label in enumerate(self.labels)},
            "problem_type": None if self.per_token else kind,
        }


def labelling_of(learner: ClassifierName, prepared: Prepared) -> Labelling:
    """What prepare found in the data."""
    if not prepared.labels:
        raise invalid("WorkspaceInvalid", "prepare left no labels for the classifier: run the prepare stage again")
    return Labelling(learner, tuple(prepared.labels), prepared.multi_label)
