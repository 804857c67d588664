"""Whatever a pod writes into its log or its termination message, its job can be shown, paused, cancelled and brought to its end."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finetune_api.progress import PREFIX, Progress, last_progress
from finetune_api.resources.finetune_job_status import FineTuneJobStatus
from finetune_api.result import Stage
from finetune_operator.plan.job.plan_job import plan_job
from tests.unit.operator.samples import result
from tests.unit.operator.world import World

pytestmark = pytest.mark.unit

DEEP = "[" * 100_000 + "]" * 100_000
HALF = '"\\ud800"'
"""A half of a pair: JSON that json.loads takes and that is no text."""
NASTY = ["1e300", "-1e300", "1e999", "-1e999", "NaN", "Infinity", "1" + "0" * 30, "9" * 6000, "-5", "0.5", "null", "true", "[]", "{}", '""',
         HALF, json.dumps("x" * 9000), json.dumps("\x00\n\u2028 a b"), DEEP]  # fmt: skip
WHOLE: dict[str, Any] = {
    "stage": "train", "activity": "training", "step": 3, "totalSteps": 10, "epoch": 0.5, "loss": 2.5, "learningRate": 0.1,
    "tokensPerSecond": 9.5, "etaSeconds": 60.0, "checkpointStep": 2, "gradNorm": 1.5, "mfu": 0.4, "gpuUtilization": 0.9,
    "gpuMemoryBytes": 8_000_000_000, "hostMemoryBytes": 2_000_000_000,
}  # fmt: skip


def line_with(field: str, value: str) -> str:
    """A progress line in which one field has a value that is given as JSON text."""
    fields = ",".join(f'"{name}":{value if name == field else json.dumps(WHOLE[name])}' for name in WHOLE)
    return f'{PREFIX}{{{fields},"more":{value if field == "more" else 1}}}}}'


def training() -> World:
    """A job in the middle of its training."""
    world = World()
    for _ in range(50):
        world.reconcile()
        world.run_pods()
        world.reconcile()
        if world.job.status.phase == "Training":
            return world
        world.end_pods()
        world.tick()
    raise AssertionError("it never trained")


TRAINING = training()


def shown(progress: Progress | None, tail: tuple[str, ...] = ()) -> FineTuneJobStatus:
    """The status with that progress, through the serialiser of the request layer and the limits of the CRD."""
    world = copy.deepcopy(TRAINING)
    world.now += 60
    plan = plan_job(replace(world.observed(), progress=progress, log_tail=tail), world.now)
    status = plan.status or world.job.status
    body = orjson.dumps(status.model_dump(mode="json", by_alias=True, exclude_none=True))
    return FineTuneJobStatus.from_json(body)


@pytest.mark.parametrize("value", NASTY, ids=lambda value: value[:12])
def test_every_value_in_every_field_of_a_progress_line(value: str) -> None:
    """The line is ignored, so that the line before it counts, or the value is dropped or limited to what a status can hold."""
    for field in (*WHOLE, "more"):
        shown(last_progress(f"{line_with('', '')}\n{line_with(field, value)}"))


@given(st.binary(max_size=300), st.sampled_from(["", PREFIX, PREFIX + '{"stage":"train","activity":']))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_bytes(noise: bytes, before: str) -> None:
    """As the request layer decodes them."""
    text = before + noise.decode(errors="replace")
    shown(last_progress(text), tuple(text.splitlines()[-20:]))


def test_figures_that_a_status_can_hold_are_shown() -> None:
    """Losses of 1e300 as the largest number that the column can show, half a line's figures without the broken one."""
    status = shown(last_progress(line_with("loss", "1e300")))
    assert status.progress
    assert (status.progress_text, status.progress.loss, status.eta) == ("30% (3/10)", 1e15, "1m0s")
    status = shown(last_progress(line_with("etaSeconds", "NaN")))
    assert (status.progress_text, status.eta) == ("30% (3/10)", None)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in a document."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    yield path


def with_value(text: str, path: tuple[Any, ...], value: str) -> str:
    """The document with another value, given as JSON text, in one place."""
    document = json.loads(text)
    if not path:
        return value
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = "@here@"
    return json.dumps(document).replace('"@here@"', value)


STAGES: tuple[Stage, ...] = ("prepare", "train", "publish")
BROKEN = [(stage, path) for stage in STAGES for path in leaves(json.loads(result(stage)))]
FAILED = result(
    "train", error={"code": "InvalidDataset", "message": "line 7", "param": "dataset.train", "details": ["line 7"]}, exit_code=3
)


@given(st.sampled_from(BROKEN), st.sampled_from(NASTY[:-1]))
@hypothesis_settings(max_examples=150)
def test_any_value_in_a_stage_s_result(where: tuple[Stage, tuple[Any, ...]], value: str) -> None:
    """The result is used, or treated as lost and the stage repeated; the job finishes."""
    stage, path = where
    message = with_value(result(stage), path, value)
    world = World()
    for _ in range(12):
        world.reconcile()
        world.run_pods()
        world.reconcile()
        running = world.running_job()
        world.end_pods(message=message if running and f"-{stage}-" in running.meta.name else "")
        world.tick()
    world.reconcile()
    world.calm()


@given(st.sampled_from(list(leaves(json.loads(FAILED)))), st.sampled_from(NASTY))
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_value_in_a_failure(path: tuple[Any, ...], value: str) -> None:
    """The failure is shown in some words, and can be cancelled."""
    world = copy.deepcopy(TRAINING)
    world.end_pods(code=3, message=with_value(FAILED, path, value))
    world.tick()
    world.reconcile()
    world.set_spec(cancel=True)
    world.reconcile()
    world.tick(300)
    world.calm()
    assert world.job.status.phase in ("Cancelled", "Failed")
