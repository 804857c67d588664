"""The one pass over a file."""

import gzip
import json
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_api.resources.finetune_job import TaskName
from finetune_trainer import tasks
from finetune_trainer.data.reading.record import Block
from finetune_trainer.data.rows.read import RowReader
from finetune_trainer.data.rows.shape import shape_of
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks.plain_chat import in_order
from tests.unit.data.rows.files import opened, refusal
from tests.unit.data.rows.samples import WEATHER, asked, assistant, call, calling, good, row, system, tool, user

TASKS: list[TaskName] = ["chat", "completion", "summarization", "sequence-classification", "token-classification"]


def labelled(*labels: Any, **more: Any) -> bytes:
    """Rows of a text and a label."""
    return b"\n".join(json.dumps({"text": f"text {number}", "label": label, **more}).encode() for number, label in enumerate(labels))


def test_a_share_of_invalid_rows_is_dropped(tmp_path: Path) -> None:
    """Within dataset.limits.maxInvalidFraction wrong rows are left out, counted and reported; one more fails with all of them."""
    lines = [good(number) for number in range(20)]
    lines[3], lines[17] = b"{", row(user())
    file = opened(tmp_path / "a", b"\n".join(lines))
    profile = file.profiled(1, max_invalid_fraction=0.1).profile
    assert (profile.rows_read, profile.invalid.tolist(), len(profile.hashes), profile.turns.tolist()) == (20, [3, 17], 18, [2] * 18)
    assert profile.findings.kinds == {"not JSON": 1, "no assistant message": 1}
    assert [where for where, _ in file.rows(profile.invalid)] == [f"line {number + 1}" for number in range(20) if number not in (3, 17)]
    with pytest.raises(
        StageFailure, match=r"2 of 20 rows are invalid \(1 x not JSON, 1 x no assistant message\); .*maxInvalidFraction lets 1 be"
    ):
        file.profiled(1, max_invalid_fraction=0.09)


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    """They are passed over, and the numbers of lines stay those of the file."""
    file = opened(tmp_path / "a", b"\n\n" + good(1) + b"\r\n \t\n" + good(2) + b"\r\n\n")
    assert len(file.profiled(1).profile.hashes) == 2
    assert [where for where, _ in file.rows()] == ["line 3", "line 5"]


@pytest.mark.parametrize(
    "lines", [(good(1) + good(2), good(3)), (good(1) + b" " + good(2),), (good(2), good(1)[:14] + b"\n" + good(1)[14:])]
)
def test_a_row_has_a_line_of_its_own(tmp_path: Path, lines: tuple[bytes, ...]) -> None:
    """Two objects on a line, or one on two, are no JSONL."""
    assert "not JSON" in refusal(tmp_path / "a", b"\n".join(lines)).message


def test_labels_are_numbered(tmp_path: Path) -> None:
    """Each row's labels by number, and the names that the numbers stand for."""
    profile = opened(tmp_path / "a", labelled("b", 1, "a", "b", True), "sequence-classification").profiled(1).profile
    assert [profile.label_sets[number] for number in profile.label_ids] == [("b",), ("1",), ("a",), ("b",), ("true",)]
    assert not profile.multi_label
    profile = opened(tmp_path / "a", labelled(["b", "a"], [], ["a", "b"]), "sequence-classification").profiled(1).profile
    assert [profile.label_sets[number] for number in profile.label_ids] == [("a", "b"), (), ("a", "b")]
    assert profile.multi_label


def test_groups_and_strata_are_hashes_of_a_field(tmp_path: Path) -> None:
    """Equal values have equal numbers, on every machine and in whatever order rows stand; a row without the field is invalid."""
    content = labelled("a", "b", "c", team="x") + b"\n" + labelled("d", team={"n": 1})
    file = opened(tmp_path / "a", content, "sequence-classification", fields=("team",))
    profile = file.profiled(1, group_by="team", stratify_by="label").profile
    assert profile.groups is not None
    assert profile.strata is not None
    assert profile.groups[0] == profile.groups[1] == profile.groups[2] != profile.groups[3]
    assert len(set(profile.strata.tolist())) == 4
    file = opened(tmp_path / "a", content + b"\n" + labelled("e"), "sequence-classification", fields=("team",))
    with pytest.raises(StageFailure, match="line 5: has no field 'team', which the split names: its fields are text, label"):
        file.profiled(1, group_by="team")


def test_a_file_that_changes_between_the_passes_is_refused(tmp_path: Path) -> None:
    """Rows that were not checked are never trained on."""
    file = opened(tmp_path / "a", good(1))
    profile = file.profiled(1).profile
    (tmp_path / "a").write_bytes(b'{"messages": 1}')
    with pytest.raises(StageFailure, match=r"train.jsonl changed while it was read"):
        list(file.rows(profile.invalid))


def test_a_torn_file_is_refused_whatever_may_be_dropped(tmp_path: Path) -> None:
    """Nobody knows how many rows are missing."""
    packed = gzip.compress(b"\n".join(good(number) for number in range(5000)), mtime=0)
    file = opened(tmp_path / "a", packed[: len(packed) * 3 // 4])
    with pytest.raises(StageFailure, match="the gzip data ends too early"):
        file.profiled(1, max_invalid_fraction=0.9)


CLEAN = [good(number) for number in range(200)]
TOOLS = [asked(calling(call(call_id=f"c{number}")), tool(call=f"c{number}"), assistant()) for number in range(50)]
SPICE = [
    row(system(), user(name="bob"), assistant(weight=0), user(), assistant(weight=1)),
    *TOOLS,
    row(user([{"type": "text", "text": "a"}]), assistant()),
]


@pytest.mark.parametrize("lines", [CLEAN, [*CLEAN, *SPICE], [*CLEAN, b"{", b"", *SPICE, row(user())]], ids=["clean", "spiced", "dirty"])
def test_several_processes_come_to_the_same(tmp_path: Path, lines: list[bytes]) -> None:
    """Order, findings and fingerprints do not depend on who computes them."""
    content = b"\n".join(lines * 30) + b"\n"
    results = []
    for processes in (1, 2):
        profile = opened(tmp_path / "a", content).profiled(7, max_invalid_fraction=0.9, processes=processes).profile
        results.append(
            (profile.rows_read, profile.hashes.tolist(), profile.invalid.tolist(), profile.turns.tolist(), profile.findings.first)
        )
    assert results[0] == results[1]


def test_other_formats_in_several_processes(tmp_path: Path) -> None:
    """Records of tables and arrays travel as they are; labels keep their names."""
    rows = [{"text": f"text {number}", "label": f"label {number % 7}"} for number in range(2000)]
    profiles = [
        opened(tmp_path / "a", json.dumps(rows).encode(), "sequence-classification").profiled(7, processes=n).profile for n in (1, 2)
    ]
    assert profiles[0].label_sets == profiles[1].label_sets
    assert np.array_equal(profiles[0].label_ids, profiles[1].label_ids)
    assert np.array_equal(profiles[0].hashes, profiles[1].hashes)


ROLES = st.lists(st.integers(0, 3), min_size=1, max_size=6)


@settings(deadline=None)
@given(st.lists(ROLES, min_size=1, max_size=4))
def test_the_order_of_many_is_the_order_of_each(conversations: list[list[int]]) -> None:
    """A block is in order when every conversation in it is, by a plain statement of the rule."""

    def right(roles: list[int]) -> bool:
        rest = roles[1:] if roles[0] == 0 else roles
        twice = (2, 2) in pairwise(rest)  # two answers in a row need a closer look
        return bool(rest) and rest[0] == 1 and rest[-1] == 2 and not {0, 3} & set(rest) and not twice

    flat = np.array([role for roles in conversations for role in roles], np.uint8)
    assert in_order(flat, np.array([len(roles) for roles in conversations])) == all(map(right, conversations))


WORDS = st.sampled_from(["", " ", "\0", "a", "b\\u0000", "\u3000", "B-X", "I-X", "O", "user", "assistant", "é", '"', "\\"])
FIELDS = st.sampled_from(
    [
        "messages",
        "role",
        "content",
        "weight",
        "name",
        "tools",
        "text",
        "label",
        "tokens",
        "tags",
        "prompt",
        "completion",
        "document",
        "summary",
        "x",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "assistant", "tool", "bot"]), "content": WORDS | JSON},
    optional={"weight": JSON, "name": WORDS, "tool_calls": JSON, "tool_call_id": WORDS, "x": JSON},
)
ROW = (
    st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=4)}, optional={"tools": JSON | st.just([WEATHER])})
    | st.fixed_dictionaries({"prompt": WORDS, "completion": WORDS}, optional={"x": JSON})
    | st.fixed_dictionaries({"document": WORDS, "summary": WORDS})
    | st.fixed_dictionaries({"text": WORDS, "label": JSON}, optional={"text_pair": JSON})
    | st.fixed_dictionaries({"tokens": st.lists(WORDS, max_size=3), "tags": st.lists(WORDS, max_size=3)})
    | JSON
)


@given(task=st.sampled_from(TASKS), values=st.lists(ROW, min_size=1, max_size=4), ascii_only=st.booleans())
def test_what_is_plainly_right_is_right(task: TaskName, values: list[Any], ascii_only: bool) -> None:
    """The quick look at many rows takes none that the thorough look refuses, and both make the same rows of them."""
    texts = [json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for value in values]
    shape = shape_of([], tasks.TASKS[task], table=False, columns={}, template=None, fields=())
    plain = shape.task.plain(shape.layout)
    found = plain.read(b"\n".join(texts)) if plain else None
    thorough = RowReader(replace(shape, steps=(lambda fields, context: fields,)))  # a file with steps has no fast path
    read = thorough.read(Block(b"\n".join(texts), 1, 0))
    assert len(read.identities) + len(read.wrong) == len(texts)
    if found is not None:
        assert not read.wrong
        assert list(found.identities) == read.identities
        assert list(found.rows) == list(read.rows)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(task=st.sampled_from(TASKS), values=st.lists(ROW, min_size=1, max_size=4), cut=st.integers(0, 200))
def test_no_file_leads_to_a_traceback(tmp_path: Path, task: TaskName, values: list[Any], cut: int) -> None:
    """Whatever a file holds: it is read, or refused with a message."""
    content = b"\n".join(json.dumps(value).encode() for value in values)
    with suppress(StageFailure):
        file = opened(tmp_path / "a", content[: len(content) - cut] or b" ", task)
        profile = file.profiled(1, max_invalid_fraction=0.9).profile
        assert len(list(file.rows(profile.invalid))) == len(profile.hashes)
