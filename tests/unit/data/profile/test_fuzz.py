"""Whatever lies in a file of a task: the whole pass over it ends in rows, or in a refusal that says where, and ends soon.

FINETUNE_FUZZ_SECONDS=600 pytest tests/unit/data/profile/test_fuzz.py looks for that long; without it a few seconds.
"""

import json
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_api.resources.finetune_job import TaskName
from finetune_api.result import StageError
from finetune_trainer.failure import StageFailure
from tests.unit.data.reading.damage import mutated
from tests.unit.data.reading.files import array, jsonl, parquet, sheet
from tests.unit.data.rows.files import NAME, opened
from tests.unit.data.rows.samples import WEATHER, assistant, call, calling, tool, user

pytestmark = pytest.mark.unit

SECONDS = float(os.environ.get("FINETUNE_FUZZ_SECONDS", "0"))
FEW = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SLOW = 60.0

ROWS: dict[TaskName, list[dict[str, Any]]] = {
    "chat": [
        {"messages": [user(), assistant()]},
        {"messages": [user(), calling(call()), tool(), assistant()], "tools": [WEATHER]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello", "weight": 1}]},
    ],
    "completion": [
        {"prompt": "Question", "completion": "Answer"},
        {"instruction": "Sort", "input": "b a", "output": "a b"},
        {"text": "all"},
    ],
    "summarization": [{"document": "A long text", "summary": "Short"}],
    "sequence-classification": [
        {"text": "a", "label": "spam"},
        {"text": "a", "label": ["x", "y"]},
        {"text": "a", "text_pair": "b", "label": 3},
    ],
    "token-classification": [{"tokens": ["in", "Rome"], "tags": ["O", "B-LOC"]}, {"tokens": ["in", "Rome"], "ner_tags": [0, 1]}],
}
TASKS = list(ROWS)
ODD: list[Any] = [None, "", " ", 0, -1, 1e300, 2**70, True, [], {}, [[]], "\0", "\ud800", "a" * 5000, ["a", 1], {"a": None}, float("inf")]
KEYS = ["role", "content", "text", "label", "tokens", "tags", "messages", "", "extra"]
WRITERS: dict[str, Callable[[list[Any]], bytes]] = {"jsonl": jsonl, "json": array, "csv": sheet, "parquet": parquet}
PLACE = re.compile(r"^(the file ends here: )?(lines?|rows?|items?|records?) [\d,]+")


def changed(value: Any, chance: random.Random) -> Any:
    """The value with something odd at a place within it."""
    if chance.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return chance.choice(ODD)
    if isinstance(value, list):
        at = chance.randrange(len(value))
        return chance.choice([value[:at], value + value[at:], [*value[:at], changed(value[at], chance), *value[at + 1 :]]])
    key = chance.choice(list(value))
    rest = {name: item for name, item in value.items() if name != key}
    return chance.choice([rest, {**value, key: changed(value[key], chance)}, {**value, key: changed(value[key], chance)},
                          {**rest, chance.choice(KEYS): value[key]}])  # fmt: skip


def file_of(task: TaskName, chance: random.Random) -> bytes:
    """Rows of a task in some format; odd values in some of the rows, damage in some of the files."""
    rows = [chance.choice(ROWS[task][:2] if chance.random() < 0.9 else ROWS[task]) for _ in range(chance.choice([1, 5, 30]))]
    rows = [changed(row, chance) if chance.random() < 0.2 else row for row in rows]
    try:
        data = WRITERS[chance.choice(list(WRITERS))](rows)
    except Exception:  # not every format can hold every row
        data = jsonl(rows)
    return mutated(data, chance) if chance.random() < 0.3 else data


def passed_over(folder: Path, task: TaskName, data: bytes, share: float) -> None:
    """Opens, profiles and reads the rows; lets only what must not be through."""
    try:
        file = opened(folder / "fuzz", data, task)
        profile = file.profiled(1, max_invalid_fraction=share).profile
        rows = list(file.rows(profile.invalid))
    except StageFailure as failure:
        refused(failure.error)
        return
    assert len(rows) == len(profile.hashes) == profile.rows_read - len(profile.invalid)


def refused(error: StageError) -> None:
    """The file and the field are named; each finding has a place of its own."""
    assert NAME in error.message
    assert error.param
    json.dumps([error.message, *error.details]).encode()
    assert not [detail for detail in error.details if not PLACE.match(detail)]


@FEW
@given(task=st.sampled_from(TASKS), seed=st.integers(0, 2**32))
def test_rows_or_a_refusal_with_a_place(tmp_path: Path, task: TaskName, seed: int) -> None:
    """For every task and format, whatever share of the rows may be dropped."""
    chance = random.Random(seed)
    passed_over(tmp_path, task, file_of(task, chance), chance.choice([0.0, 0.5, 0.99]))


@pytest.mark.skipif(not SECONDS, reason="FINETUNE_FUZZ_SECONDS is not set")
@pytest.mark.timeout(SECONDS + 300)
def test_a_long_search_finds_nothing(tmp_path: Path) -> None:
    """The same for as long as one likes; a failure names the seed and the file that repeat it."""
    end, seed = time.monotonic() + SECONDS, int(time.time() * 1000)
    while time.monotonic() < end:
        seed += 1
        chance = random.Random(seed)
        task = chance.choice(TASKS)
        started, data = time.monotonic(), file_of(task, chance)
        try:
            passed_over(tmp_path, task, data, chance.choice([0.0, 0.5, 0.99]))
        except Exception as error:
            (tmp_path / "found").write_bytes(data)
            raise AssertionError(f"seed {seed}, task {task}: {tmp_path / 'found'}") from error
        assert time.monotonic() - started < SLOW, f"seed {seed}, task {task}"
