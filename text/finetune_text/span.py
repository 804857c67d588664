"""A stretch of a text."""

from typing import NamedTuple


class Span(NamedTuple):
    """Characters start to end, end excluded."""

    start: int
    end: int
