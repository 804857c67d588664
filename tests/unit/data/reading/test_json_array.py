"""Cutting an array into its elements without parsing them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_trainer.data.reading.record import Limits, Unreadable
from tests.unit.data.reading.files import contents, opened

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
def test_any_array_is_cut_into_its_elements(tmp_path: Path, elements: list[Any], indent: int | None, block: int) -> None:
    """Brackets and commas inside strings, nesting, and block borders anywhere do not matter; lines are right."""
    text = json.dumps(elements, indent=indent, ensure_ascii=False)
    found = list(opened(tmp_path, text.encode(), limits=Limits(block=block)).records())
    assert contents(found) == elements
    assert [one.row for one in found] == list(range(1, len(elements) + 1))
    lines = text.split("\n")
    assert all(one.content.decode().split("\n")[0] in lines[one.line - 1] for one in found if isinstance(one.content, bytes))


def test_rows_nested_deeper_than_the_fast_pattern_are_cut(tmp_path: Path) -> None:
    """Depth is the parser's matter, not the cutter's."""
    deep = b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert [one.content for one in opened(tmp_path, b"[" + deep + b",\n" + deep + b"]").records()] == [deep, deep]


@pytest.mark.parametrize(
    "data, words",
    [
        (b'[{"a": 1}, {', "row 2 (line 1) is not closed: the file ends within it"),
        (b'[{"a": 1}\n', "row 1 (line 1) is not closed"),
        (b"[\n", "row 1 (line 2) is not closed"),
        (b'[{"a": 1}]\n{}', "line 2: there is more after the array's closing bracket"),
        (b"[1]\n[2]\n", "line 2: there is another array after the first: a file holds one array, or JSONL with one object per line"),
        (b'[{"a": 1}}]', "row 1 (line 1): a closing brace without an opening one"),
    ],
)
def test_an_array_that_does_not_add_up_is_said(tmp_path: Path, data: bytes, words: str) -> None:
    """Where the brackets stop to make sense, reading ends with a message."""
    with pytest.raises(Unreadable) as caught:
        list(opened(tmp_path, data).records())
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "data, pieces", [(b"[]", []), (b"[1,]", [b"1", b""]), (b"[,1]", [b"", b"1"]), (b"[1 2]", [b"1 2"]), (b" [ \n ] \n", [])]
)
def test_commas_decide(tmp_path: Path, data: bytes, pieces: list[bytes]) -> None:
    """A comma too many leaves an empty element, which the rows' check will name."""
    assert [one.content for one in opened(tmp_path, data).records()] == pieces
