"""How long a training still takes: steps, validations and checkpoints. Pure: the caller passes the time.

The time of a step is taken as proportional to its tokens, whose number is known of all steps: with `shuffle: false` the rows may become
longer and longer.
"""

from collections import deque
from dataclasses import dataclass
from typing import Self

from finetune_trainer.step_plan import StepPlan
from finetune_trainer.workspace.prepared import ResolvedHyperparameters

WINDOW = 20
"""Steps, at least, that the speed is measured over; a tenth of the run, if that is more."""
CHECKPOINT_BYTES = 12
"""Of a trained parameter: in fp32, with two moments of the optimizer."""
WRITTEN = 200e6
"""Bytes of a checkpoint a second, until one has been written: what a volume in a network takes."""


@dataclass(frozen=True)
class Course:
    """What a training has before it when it starts."""

    total_steps: int
    total_tokens: int
    """Of all steps."""
    validation_every: int | None = None
    validation_tokens: float = 0.0
    """Tokens that are trained in the time of one validation, until one has taken place."""
    checkpoint_every: int | None = None
    checkpoint_seconds: float = 0.0
    """Of one checkpoint, until one has been written."""

    @classmethod
    def of(cls, hyper: ResolvedHyperparameters, plan: StepPlan, validated: float, trained: int) -> Self:
        """Of a run with `trained` parameters that are trained. A token takes `validated` times as long in a validation as in a step."""
        return cls(
            total_steps=hyper.total_steps,
            total_tokens=plan.tokens_before(hyper.total_steps),
            validation_every=hyper.validation_every,
            validation_tokens=hyper.validation_examples * float(plan.lengths.mean()) * validated,
            checkpoint_every=hyper.checkpoint_every,
            checkpoint_seconds=trained * CHECKPOINT_BYTES / WRITTEN,
        )

    def validations(self, step: int) -> int:
        """That come after the training of `step`, its own included: one after every so many steps, and one at the end."""
        if (every := self.validation_every) is None:
            return 0
        return -(-self.total_steps // every) - (step - 1) // every

    def checkpoints(self, step: int) -> int:
        """That come after the training of `step`, its own included; the last step needs none."""
        return 0 if (every := self.checkpoint_every) is None else (self.total_steps - 1) // every - (step - 1) // every


class TimeLeft:
    """Of one attempt. Times are monotonic seconds."""

    def __init__(self, course: Course, now: float) -> None:
        self._course = course
        self._steps: deque[tuple[int, float]] = deque(maxlen=max(WINDOW, course.total_steps // 10))
        self._warm = False
        self._since = now
        self._validation: float | None = None
        self._checkpoint = course.checkpoint_seconds

    def begin(self, now: float) -> None:
        """The first step is about to begin."""
        self._since = now

    def step_ends(self, tokens: int, now: float) -> None:
        """The first step of an attempt also pays for what is made once, and counts only while it is the only one."""
        if not self._warm and self._steps:
            self._steps.clear()
            self._warm = True
        self._steps.append((tokens, now - self._since))
        self._since = now

    def validation_ends(self, seconds: float, now: float) -> None:
        """A validation took `seconds`."""
        self._validation, self._since = seconds, now

    def checkpoint_ends(self, seconds: float, now: float) -> None:
        """A checkpoint took `seconds`."""
        self._checkpoint, self._since = seconds, now

    @property
    def tokens_per_second(self) -> float:
        """Of the latest steps, with the time that their data took to load."""
        return sum(tokens for tokens, _ in self._steps) / max(sum(seconds for _, seconds in self._steps), 1e-9)

    def seconds(self, step: int, tokens: int) -> float:
        """From the end of `step` on, when `tokens` tokens have been trained; what follows `step` itself is still to come."""
        speed = max(self.tokens_per_second, 1e-9)
        validation = self._course.validation_tokens / speed if self._validation is None else self._validation
        between = validation * self._course.validations(step) + self._checkpoint * self._course.checkpoints(step)
        return (self._course.total_tokens - tokens) / speed + between
