"""The interface of an objective, an entry of the registry OBJECTIVES. prepare runs without torch: import it inside `losses`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from finetune_api.run_config import RunMethod
from finetune_trainer.tasks import AnyTask

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Answers:
    """What a model makes of the answers of B rows, (B, A) each: A answers a row, the preferred one first; of rated rows one."""

    log_probs: "Tensor"
    """fp32: sum of the log-probabilities (nats) of an answer's supervised tokens."""
    reference: "Tensor"
    """The same by the base model, without gradient; zeros for an objective without a reference."""
    tokens: "Tensor"
    """int64: supervised tokens."""
    desirable: "Tensor | None" = None
    """(B,) bool: the labels of rated answers."""
    kl: "Tensor | None" = None
    """fp32, a scalar without gradient: of rated answers, an estimate of the divergence of the model from the base (nats), at least 0."""


class Compared(NamedTuple):
    """What an objective makes of answers."""

    losses: "Tensor"
    """(B,) fp32."""
    rewards: "Tensor"
    """(B, A): how much the model prefers each answer, as TRL's metrics rewards/chosen and rewards/rejected; without gradient."""


class Objective(Protocol):
    """What is learned from a row."""

    name: str
    """As specs write it: method.objective."""
    title: str
    """For messages: "direct preference optimization"."""
    compares: bool
    """Rows have several answers, or one with a judgement. Otherwise `losses` is not called: the learner has the loss."""
    rates: bool
    """Rows have one answer each and a label, whether it is desirable; `losses` gets the labels and the divergence from the base."""
    needs_reference: bool
    """Losses are relative to the base model, whose log-probabilities are computed once, before the first step."""
    metrics: tuple[str, ...]
    """What a model is scored by beside the task's metrics."""
    learning_rate_scale: float
    """Factor on the automatic learning rate, which is that of sft."""

    def rows_of(self, task: AnyTask) -> AnyTask | None:
        """What the rows of a task look like with this objective; None where it is not available."""

    def settings(self, method: RunMethod) -> dict[str, float | int | str | bool]:
        """Its own, with the defaults, by their names below method: {"dpo.beta": 0.1}."""

    def losses(self, method: RunMethod, answers: Answers) -> Compared:
        """Loss and rewards of each row."""
