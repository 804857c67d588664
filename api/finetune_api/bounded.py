"""Numbers as another process writes them, brought to what a resource's status can hold: int64, and no text of 300 digits.

What a pod writes is not trusted: 1e300 for a loss must not keep the operator from writing the status that says "cancelled".
"""

from typing import Annotated

from pydantic import BeforeValidator

LIMIT = 10**15
"""Of every count and every measured figure, on both sides of zero."""


def clamped(value: object) -> object:
    """A number beyond LIMIT, infinity too, becomes LIMIT. Raises ValueError for NaN; leaves what is no number to the field's type."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    if value != value:
        raise ValueError("not a number")
    if abs(value) <= LIMIT:
        return value
    return type(value)(LIMIT if value > 0 else -LIMIT)


def shown(value: object) -> object:
    """As `clamped`; None for NaN and what is below zero: a figure that is only shown may be missing."""
    if isinstance(value, int | float) and (value != value or value < 0):
        return None
    return clamped(value)


def shown_signed(value: object) -> object:
    """As `shown`, for a figure that may be below zero."""
    return None if isinstance(value, float) and value != value else clamped(value)


Count = Annotated[int, BeforeValidator(clamped)]
Real = Annotated[float, BeforeValidator(clamped)]
ShownCount = Annotated[int | None, BeforeValidator(shown)]
ShownReal = Annotated[float | None, BeforeValidator(shown)]
ShownSignedReal = Annotated[float | None, BeforeValidator(shown_signed)]
