"""The validations of a run, over all of its attempts. Pure; a checkpoint has those up to its step."""

import math
from pathlib import Path

from finetune_api.document import Document
from finetune_api.resources.learning import EarlyStopping

RISE, RISES = 1.02, 2
"""Overfitting: the loss is this much above its lowest value, after at least so many validations."""


class ValidationPoint(Document):
    """One validation."""

    step: int
    loss: float
    """Nats per supervised token (of a classifier: per label)."""
    accuracy: float
    """Share of the predictions that are right."""
    training_loss: float | None = None
    """Mean of the steps since the last validation; known to rank 0."""


class ValidationCurve(Document):
    """In the order of the steps."""

    points: tuple[ValidationPoint, ...] = ()

    @property
    def losses(self) -> dict[int, float]:
        """By step."""
        return {point.step: point.loss for point in self.points}

    def with_point(self, point: ValidationPoint) -> "ValidationCurve":
        """The same with one more."""
        return ValidationCurve(points=(*self.points, point))

    @property
    def best(self) -> ValidationPoint | None:
        """The one with the lowest loss, of equal ones the first; None before the first."""
        return min(self.points, key=lambda point: point.loss, default=None)

    def misses(self, minimum: float) -> int:
        """Validations since the loss last fell by more than `minimum`."""
        lowest, count = math.inf, 0
        for point in self.points:
            lowest, count = (point.loss, 0) if point.loss < lowest - minimum else (lowest, count + 1)
        return count

    def exhausted(self, stopping: EarlyStopping) -> str:
        """Why the training ends here; "" while it goes on."""
        best, misses = self.best, self.misses(stopping.minimum_improvement)
        if best is None or misses < stopping.patience:
            return ""
        by = f" by more than {stopping.minimum_improvement:g}" if stopping.minimum_improvement else ""
        last = f"the last {misses} validations" if misses > 1 else "the last validation"
        return f"the validation loss has not improved{by} in {last}; its lowest value was {best.loss:.3f} at step {best.step}"

    def overfitting(self) -> str:
        """The figures, if the validation loss has risen since its best while the training loss has fallen; "" if not."""
        best, last = self.best, self.points[-1] if self.points else None
        if best is None or last is None or sum(point.step > best.step for point in self.points) < RISES:
            return ""
        before, after = best.training_loss, last.training_loss
        if before is None or after is None or last.loss < RISE * best.loss or after >= before:
            return ""
        return (
            f"the validation loss rose from {best.loss:.3f} (step {best.step}) to {last.loss:.3f} (step {last.step}), while the training "
            f"loss fell from {before:.3f} to {after:.3f}: lower hyperparameters.epochs or hyperparameters.learningRate, add training "
            "rows, or set hyperparameters.earlyStopping"
        )


def read_curve(path: Path) -> ValidationCurve:
    """What a checkpoint has; empty if it is from a version without validations."""
    try:
        return ValidationCurve.from_json(path.read_bytes())
    except FileNotFoundError:
        return ValidationCurve()
