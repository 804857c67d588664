"""Loss, reward accuracy and margin of a model on the validation rows, and the perplexity of the preferred answers; of rated answers also
the divergence from the base."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from finetune_api.run_config import RunMethod
from finetune_trainer.language_model.score import row_losses
from finetune_trainer.learner import Show
from finetune_trainer.objectives import Objective
from finetune_trainer.objectives.objective import Answers
from finetune_trainer.preference.reference import Values
from finetune_trainer.preference.rows import AnswerRows
from finetune_trainer.statistics.statistic import Measured, Reals, Statistic, mean, perplexity, ratio, value_of


def answer_log_probs(model: Any, rows: AnswerRows, budget: int, show: Show) -> Values:
    """(rows, answers): `budget` is the padded tokens of a forward pass; `show` is called with the tokens scored so far, and all."""
    return -row_losses(model, rows, budget, show).reshape(-1, rows.answers)


def scores(objective: Objective, method: RunMethod, rows: AnswerRows, found: Values, reference: Values) -> Measured:
    """Of a model's log-probabilities. A pair without a margin, as all are to the reference itself, counts as half right."""
    tokens = rows.supervised.reshape(found.shape)
    compared = objective.losses(method, Answers(*(torch.from_numpy(values) for values in (found, reference, tokens))))
    margins = compared.rewards[:, 0] - compared.rewards[:, 1]
    statistics = {
        "loss": mean(compared.losses),
        "perplexity": perplexity(ratio(-found[:, 0], tokens[:, 0])),
        "rewardAccuracy": mean(right(margins)),
        "rewardMargin": mean(margins),
    }
    return Measured(len(found), statistics)


def rated_scores(
    objective: Objective,
    method: RunMethod,
    rows: AnswerRows,
    found: Values,
    reference: Values,
    labels: NDArray[np.bool_],
    mismatched: Reals,
) -> Measured:
    """Of a model's log-probabilities of rated answers; `mismatched` are its log-ratios to the base of each prompt with another answer."""
    tokens = rows.supervised.reshape(found.shape)[:, 0]
    kl = mean_from_0(mismatched)
    divergence = torch.tensor(value_of(kl, len(found)))
    values = [torch.from_numpy(values) for values in (found, reference, tokens[:, None])]
    compared = objective.losses(method, Answers(values[0], values[1], values[2], torch.from_numpy(labels), divergence))
    rewards = compared.rewards[:, 0].numpy()
    desirable, undesirable = ratio(labels * rewards, labels), ratio(~labels * rewards, ~labels)
    statistics: dict[str, Statistic] = {
        "loss": mean(compared.losses),
        "perplexity": perplexity(ratio(labels * -found[:, 0], labels * tokens)),
        "rewardAccuracy": mean(right(torch.from_numpy(np.where(labels, rewards, -rewards)))),
        "rewardMargin": lambda weights: desirable(weights) - undesirable(weights),
        "kl": kl,
    }
    return Measured(len(found), statistics)


def mean_from_0(ratios: Reals) -> Statistic:
    """The mean; an estimate of a divergence below 0 is one of 0."""
    estimate = mean(ratios)
    return lambda weights: np.maximum(estimate(weights), 0.0)


def right(margins: torch.Tensor) -> torch.Tensor:
    """1 for a pair whose preferred answer has the higher reward, 0.5 for one without a difference, else 0."""
    return (margins.sign() + 1) / 2
