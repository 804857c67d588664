"""Numbers that describe many numbers: histograms, quantiles, and the notes that there is room for."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from finetune_api.dataset_report import Bin, Side
from finetune_api.result import Quantiles
from finetune_trainer.data.tokens.arrow import EncodeStats

BARS = 20
"""Of a histogram, at most."""
MAX_NOTES = 10
"""In the status; the report has all."""


def side_with_tokens(side: Side, kept: EncodeStats, lengths: Sequence[int]) -> Side:
    """The profile of one split, and the tokens of its examples; `lengths` are those before the cut."""
    return side.model_copy(
        update={
            "examples": kept.examples,
            "tokens": int(kept.lengths.sum()),
            "supervised_tokens": int(kept.supervised.sum()),
            "truncated_examples": kept.truncated,
            "truncated_tokens": kept.truncated_tokens,
            "lengths": histogram(np.asarray(lengths, np.int64)),
        }
    )


def histogram(values: npt.NDArray[np.int64]) -> list[Bin]:
    """At most BARS bars of the same width: 1, 2 or 5 times a power of ten."""
    if not len(values):
        return []
    width = next(width for width in widths() if int(values.max()) <= width * BARS)
    counts = np.bincount(-(-np.maximum(values, 1) // width))[1:]
    return [Bin(up_to=width * number, count=int(count)) for number, count in enumerate(counts, start=1)]


def widths() -> Sequence[int]:
    """1, 2, 5, 10, 20, ..."""
    return [step * 10**power for power in range(10) for step in (1, 2, 5)]


def quantiles(values: npt.NDArray[np.int64]) -> Quantiles | None:
    """Median, 95th percentile and maximum, each a value that occurs; None for no values."""
    if not len(values):
        return None
    p50, p95 = np.percentile(values, [50, 95], method="inverted_cdf")
    return Quantiles(p50=int(p50), p95=int(p95), max=int(values.max()))


def first_notes(notes: list[str]) -> list[str]:
    """Those that the status shows."""
    return notes if len(notes) <= MAX_NOTES else [*notes[: MAX_NOTES - 1], f"and {len(notes) - MAX_NOTES + 1} more in report.json"]
