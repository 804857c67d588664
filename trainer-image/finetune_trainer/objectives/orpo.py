"""Odds ratio preference optimization (Hong et al. 2024, equations 6 and 7): the preferred answer is learned as with sft, while its odds
against the other one rise. Needs no reference, so it can start from a base that has not been fine-tuned."""

from typing import TYPE_CHECKING

from finetune_api.metrics import PREFERENCE_METRICS
from finetune_api.resources.method import Orpo
from finetune_api.run_config import RunMethod
from finetune_trainer.objectives.objective import Answers, Compared
from finetune_trainer.tasks import AnyTask
from finetune_trainer.tasks.preference import PAIRS

if TYPE_CHECKING:
    from torch import Tensor

CERTAIN = -1e-6
"""A mean log-probability is at most this: at 0 the odds are infinite, and so is their gradient."""


class OddsRatioPreference:
    """An Objective."""

    name = "orpo"
    title = "odds ratio preference optimization"
    compares = True
    metrics = PREFERENCE_METRICS
    rates = False
    needs_reference = False
    learning_rate_scale = 0.4  # 8e-6 for whole models of 7B in the paper

    def rows_of(self, task: AnyTask) -> AnyTask | None:
        return PAIRS.get(task.name)

    def settings(self, method: RunMethod) -> dict[str, float | int | str | bool]:
        return {"orpo.beta": (method.orpo or Orpo()).beta}

    def losses(self, method: RunMethod, answers: Answers) -> Compared:
        import torch.nn.functional as F

        beta = (method.orpo or Orpo()).beta
        means = answers.log_probs / answers.tokens  # as in the paper, an answer's probability is the geometric mean of its tokens'
        odds = log_odds(means)
        losses = -means[:, 0] - beta * F.logsigmoid(odds[:, 0] - odds[:, 1])
        return Compared(losses, beta * means.detach())


def log_odds(log_probs: "Tensor") -> "Tensor":
    """log(p / (1 - p)) of logarithms of probabilities, of any shape."""
    import torch

    certain = log_probs.clamp(max=CERTAIN)
    return certain - torch.log(-torch.expm1(certain))


ORPO = OddsRatioPreference()
