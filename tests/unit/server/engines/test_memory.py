"""The key-value memory."""

import re
from pathlib import Path

import pytest

from finetune_server.engines.onnx.decoder import lazy_zeros

pytestmark = pytest.mark.unit


def resident_megabytes() -> int:
    """This process's own memory that is really there."""
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def test_unused_context_costs_no_memory() -> None:
    """Rows that use a few tokens of a long context take pages for these tokens only, not for the whole context."""
    before = resident_megabytes()
    memory = lazy_zeros((256, 4096, 64))
    memory[:, :10] = 1
    assert memory[:, 10:100].max() == 0
    assert resident_megabytes() - before < 32 < memory.nbytes // 2**20
