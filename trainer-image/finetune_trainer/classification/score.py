"""Loss, accuracy and F1 of a classifier on labelled rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from finetune_text.tags import entities
from finetune_trainer.classification.batch import Collator, PaddedBatch, classification_losses, logits_asked
from finetune_trainer.classification.f1 import accuracy, mean_f1, set_f1, tag_accuracy
from finetune_trainer.classification.labelling import Labelling
from finetune_trainer.classification.rows import LabelledRows
from finetune_trainer.statistics.statistic import Measured, Reals, Statistic, ratio
from finetune_trainer.step_plan import cut

Logits = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Answers:
    """The output of a model for every row, in the order of the rows; `targets` are the labels in the same shape."""

    logits: list[Logits]
    """(N, labels) of each row: N is 1, or its labelled tokens."""
    targets: list[Any]
    losses: Reals
    """(rows,): the sum over what is labelled in each row."""


def score_classifier(model: Any, rows: LabelledRows, collator: Collator, budget: int, show: Callable[[int, int], None]) -> Measured:
    """`budget` is the padded tokens of a forward pass; `show` is called with the number of labels that are scored so far, and of all."""
    answers = answer(model, rows, collator, budget, show)
    loss = ratio(answers.losses, rows.supervised)
    return Measured(len(rows), {"loss": loss, **metrics(answers, collator.labelling)})


def answer(model: Any, rows: LabelledRows, collator: Collator, budget: int, show: Callable[[int, int], None]) -> Answers:
    """Runs the model over all rows, those of similar length together."""
    device = next(model.parameters()).device
    logits: list[Any] = [None] * len(rows)
    targets: list[Any] = [None] * len(rows)
    total, done, losses = int(rows.supervised.sum()), 0, np.zeros(len(rows))
    for places in cut(np.arange(len(rows)), rows.lengths, budget):
        batch = collator.batch([rows[place] for place in places]).to(device)
        found, each = run(model, batch)
        for place, part, wanted in zip(places, *split(found, batch, rows.supervised[places]), strict=True):
            logits[place], targets[place] = part, wanted
        losses[places] = [float(part.sum()) for part in torch.split(each, rows.supervised[places].tolist())]
        done += int(rows.supervised[places].sum())
        show(done, total)
    return Answers(logits, targets, losses)


@torch.inference_mode()
def run(model: Any, batch: PaddedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits that count, and their losses."""
    logits = logits_asked(model, batch)
    return logits.cpu(), classification_losses(logits, batch.targets).double().cpu()


def split(logits: torch.Tensor, batch: PaddedBatch, counts: Any) -> tuple[Iterator[Logits], Iterator[Any]]:
    """Each row's part of a batch's logits and targets."""
    sizes = [int(count) for count in counts]
    return (part.numpy() for part in torch.split(logits, sizes)), (part.numpy() for part in torch.split(batch.targets.cpu(), sizes))


def metrics(answers: Answers, labelling: Labelling) -> dict[str, Statistic]:
    """Accuracy and F1 as `finetune_api.metrics.Scores` defines them for the task."""
    guesses = [decide(logits, labelling) for logits in answers.logits]
    if labelling.per_token:
        truths = [[labelling.labels[index] for index in row] for row in answers.targets]
        words = [[labelling.labels[index] for index in row] for row in guesses]
        return {
            "accuracy": tag_accuracy(truths, words),
            "f1": set_f1([set(entities(row)) for row in truths], [set(entities(row)) for row in words]),
        }
    wanted = [set(np.flatnonzero(row[0])) if labelling.multi_label else {int(row[0])} for row in answers.targets]
    named = [set(np.flatnonzero(row[0])) if labelling.multi_label else {int(row[0])} for row in guesses]
    return {"accuracy": accuracy(wanted, named), "f1": mean_f1(wanted, named)}


def decide(logits: Logits, labelling: Labelling) -> Any:
    """The predictions of logits (N, labels): (N,) class indices, or multi-label (N, labels) of True and False."""
    return logits > 0 if labelling.multi_label else logits.argmax(axis=-1)
