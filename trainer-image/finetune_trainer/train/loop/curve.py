"""The validations of a run, over all of its attempts. Pure; a checkpoint has those up to its step."""

from pathlib import Path

from finetune_api.document import Document


class ValidationPoint(Document):
    """One validation."""

    step: int
    loss: float
    """Nats per supervised token (of a classifier: per label)."""
    accuracy: float
    """Share of the predictions that are right."""


class ValidationCurve(Document):
    """In the order of the steps."""

    points: tuple[ValidationPoint, ...] = ()

    def with_point(self, point: ValidationPoint) -> "ValidationCurve":
        """The same with one more."""
        return ValidationCurve(points=(*self.points, point))

    @property
    def best(self) -> ValidationPoint | None:
        """The one with the lowest loss, of equal ones the first; None before the first."""
        return min(self.points, key=lambda point: point.loss, default=None)


def read_curve(path: Path) -> ValidationCurve:
    """What a checkpoint has; empty if it is from a version without validations."""
    try:
        return ValidationCurve.from_json(path.read_bytes())
    except FileNotFoundError:
        return ValidationCurve()
