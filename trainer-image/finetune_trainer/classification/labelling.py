"""What a classifier is to tell of a text (or of its tokens): the task and its labels. Knows no model."""

from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, get_args

from finetune_api.resources.finetune_job import Task
from finetune_trainer.failure import invalid
from finetune_trainer.prepared import Prepared

ClassifierTask = Literal["sequence-classification", "token-classification"]


@dataclass(frozen=True)
class Labelling:
    """The labels by class index, and what they are given to."""

    task: ClassifierTask
    labels: tuple[str, ...]
    multi_label: bool = False
    """Each label is judged by itself: several or none may hold."""

    @property
    def per_token(self) -> bool:
        """True where every token gets a label, False where the text gets one."""
        return self.task == "token-classification"

    def config(self) -> dict[str, Any]:
        """As fields of a Hugging Face config."""
        kind = "multi_label_classification" if self.multi_label else "single_label_classification"
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {label: index for index, label in enumerate(self.labels)},
            "problem_type": None if self.per_token else kind,
        }


def is_classifier(task: Task) -> TypeGuard[ClassifierTask]:
    """True for the tasks of this room."""
    return task in get_args(ClassifierTask)


def labelling_of(task: ClassifierTask, prepared: Prepared) -> Labelling:
    """What prepare found in the data."""
    if not prepared.labels:
        raise invalid("WorkspaceInvalid", f"prepare left no labels for the task {task}: run the prepare stage again")
    return Labelling(task, tuple(prepared.labels), prepared.multi_label)
