"""Cutting files into rows without parsing them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_trainer.data.reading import json_rows as rows
from finetune_trainer.data.reading.json_rows import Unreadable, read_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    elements=st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=6),
    indent=st.sampled_from([None, 0, 2]),
    block=st.sampled_from([1, 2, 7, 1 << 20]),
)
def test_any_array_is_cut_into_its_elements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elements: list[Any], indent: int | None, block: int
) -> None:
    """Brackets and commas inside strings, nesting, and block borders anywhere do not matter; lines are right."""
    monkeypatch.setattr(rows, "BLOCK", block)
    text = json.dumps(elements, indent=indent, ensure_ascii=False)
    (tmp_path / "a").write_text(text, newline="")
    found = list(read_rows(tmp_path / "a", "array"))
    assert [json.loads(raw.data) for raw in found] == elements
    assert [raw.row for raw in found] == list(range(1, len(elements) + 1))
    lines = text.split("\n")
    assert all(raw.data.decode().split("\n")[0] in lines[raw.line - 1] for raw in found)


@pytest.mark.parametrize("fmt, head", [("jsonl", b"{"), ("array", b"[{")])
def test_a_row_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fmt: Any, head: bytes) -> None:
    """A file without line ends is refused at a bound, not at the machine's memory."""
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(rows, "BLOCK", 100)
    (tmp_path / "a").write_bytes(head + b" " * 5000)
    with pytest.raises(Unreadable, match="is longer than"):
        list(read_rows(tmp_path / "a", fmt))
