"""The memory that prepare foretells, against the peak of the training: benchmarks/memory.py has more cases and a table."""

from pathlib import Path

import pytest

from benchmarks.memory import AT_MOST, QUICK, Case, measure


@pytest.mark.parametrize("case", QUICK, ids=lambda case: " ".join(case.name.split()))
def test_the_peak_is_foretold(case: Case, assets: Path, tmp_path: Path) -> None:
    """Within 15 % of what the kernel noted, for a decoder with an adapter, with all of its weights, and for an encoder."""
    foretold, peak = measure(case, assets / case.model, tmp_path)
    assert peak / AT_MOST < foretold < peak * AT_MOST
