"""Loss, reward accuracy and margin of a model on the validation rows, and the perplexity of the preferred answers; of rated answers also
the divergence from the base."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from finetune_api.metrics import Scores
from finetune_api.run_config import RunMethod
from finetune_trainer.language_model.batch import pad
from finetune_trainer.language_model.head import SupervisedHead
from finetune_trainer.learner import Show
from finetune_trainer.objectives import Objective
from finetune_trainer.objectives.objective import Answers
from finetune_trainer.preference.reference import Values
from finetune_trainer.preference.rows import AnswerRows
from finetune_trainer.step_plan import cut

SOFTMAX_ROWS = 512
"""Positions whose logits are held in fp32 at once."""


@torch.inference_mode()
def answer_log_probs(model: Any, rows: AnswerRows, budget: int, show: Show) -> Values:
    """(rows, answers): `budget` is the padded tokens of a forward pass; `show` is called with the tokens scored so far, and all."""
    device, head = next(model.parameters()).device, SupervisedHead(model)
    found, total, done = np.zeros(len(rows)), int(rows.supervised.sum()), 0
    for places in cut(np.arange(len(rows)), rows.lengths, budget):
        batch = pad(rows, places).to(device)
        logits = head.logits(model, batch)
        parts = zip(torch.split(logits, SOFTMAX_ROWS), torch.split(batch.targets, SOFTMAX_ROWS), strict=True)
        tokens = torch.cat([torch.nn.functional.cross_entropy(part.float(), targets, reduction="none") for part, targets in parts])
        sizes = rows.supervised[places].tolist()
        found[places] = [-part.double().sum().item() for part in torch.split(tokens, sizes)]
        done += len(batch.targets)
        show(done, total)
    return found.reshape(-1, rows.answers)


def scores(objective: Objective, method: RunMethod, rows: AnswerRows, found: Values, reference: Values) -> Scores:
    """Of a model's log-probabilities. A pair without a margin, as all are to the reference itself, counts as half right."""
    tokens = rows.supervised.reshape(found.shape)
    compared = objective.losses(method, Answers(*(torch.from_numpy(values) for values in (found, reference, tokens))))
    margins = compared.rewards[:, 0] - compared.rewards[:, 1]
    likelihood = found[:, 0].sum() / tokens[:, 0].sum()
    return {
        "loss": float(compared.losses.mean()),
        "perplexity": math.exp(min(-likelihood, 700.0)),
        "rewardAccuracy": float(right(margins).mean()),
        "rewardMargin": float(margins.mean()),
    }


def rated_scores(
    objective: Objective, method: RunMethod, rows: AnswerRows, found: Values, reference: Values, labels: NDArray[np.bool_], kl: float
) -> Scores:
    """Of a model's log-probabilities of rated answers, and of its divergence from the base."""
    tokens = rows.supervised.reshape(found.shape)
    values = [torch.from_numpy(values) for values in (found, reference, tokens)]
    compared = objective.losses(method, Answers(values[0], values[1], values[2], torch.from_numpy(labels), torch.tensor(kl)))
    rewards = compared.rewards[:, 0].numpy()
    measured = {
        "loss": float(compared.losses.mean()),
        "rewardAccuracy": float(right(torch.from_numpy(np.where(labels, rewards, -rewards))).mean()),
        "kl": kl,
    }
    if labels.any():
        measured["perplexity"] = math.exp(min(-found[labels].sum() / tokens[labels].sum(), 700.0))
    if labels.any() and not labels.all():
        measured["rewardMargin"] = float(rewards[labels].mean() - rewards[~labels].mean())
    return measured


def right(margins: torch.Tensor) -> torch.Tensor:
    """1 for a pair whose preferred answer has the higher reward, 0.5 for one without a difference, else 0."""
    return (margins.sign() + 1) / 2
