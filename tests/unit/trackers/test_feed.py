"""What trackers are given, and what a training notices of them: nothing but a warning at its end."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from finetune_api.result import DatasetSummary, Estimate, PrepareSummary
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure
from finetune_trainer.objectives import objective_of
from finetune_trainer.trackers import Outcome, Point, TrackedRun, Tracker
from finetune_trainer.trackers.feed import END, Feeds
from finetune_trainer.trackers.outcome import show
from finetune_trainer.trackers.tracker import check_packages, tracked_run
from finetune_trainer.workspace.prepared import Prepared, ResolvedHyperparameters
from finetune_trainer.workspace.workspace import Workspace
from tests.outside_package import documented_example

pytestmark = pytest.mark.unit
CONFIG = {
    "job": {"name": "job"},
    "base": {"source": {"uri": "unused"}},
    "dataset": {"train": {"uri": "unused"}},
    "outputModel": "model",
}


def nothing() -> None:
    """A tracker that works."""


@dataclass
class Notebook:
    """A tracker and its session: writes down what it is given, after `before` has let it."""

    before: Callable[[], None] = nothing
    last_step: int = 0
    name: str = "notebook"
    package: str = "json"
    steps: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    resumed: list[int] = field(default_factory=list)
    """Steps that it was opened at."""

    def wanted(self, config: RunConfig) -> bool:
        """In every run."""
        return True

    def open(self, run: TrackedRun) -> "Notebook":
        """The only session."""
        self.resumed.append(run.resumed_step)
        return self

    def report(self, run: TrackedRun, outcome: Outcome) -> None:
        """Takes it."""
        self.before()
        self.states.append(outcome.tags["gate"])

    def log(self, points: Sequence[Point]) -> None:
        """Takes all of them or none."""
        self.before()
        self.steps += [point.step for point in points]

    def finish(self, state: str) -> None:
        """Takes it."""
        self.before()
        self.states.append(state)


def failing(times: int) -> Callable[[], None]:
    """Refuses the first calls."""
    left = iter(range(times))

    def call() -> None:
        if next(left, None) is not None:
            raise OSError("503: come back\nlater")

    return call


def feed(tracker: Tracker, folder: Path, steps: int, state: str = "finished") -> list[str]:
    """A run of so many steps; returns the warnings."""
    feeds = Feeds([tracker], TrackedRun("run", RunConfig.model_validate(CONFIG), Workspace(folder), 1, 0, {}, {}))
    for step in range(1, steps + 1):
        feeds.log(step, {"train/loss": 1 / step})
    return [f"{warning.code}: {warning.message}" for warning in feeds.end(state)]


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_every_step_in_order_then_the_end(state: str, tmp_path: Path) -> None:
    """More steps than are passed on at once."""
    tracker = Notebook()
    assert feed(tracker, tmp_path, 333, state) == []
    assert (tracker.steps, tracker.states) == (list(range(1, 334)), [state])


def test_what_it_has_is_not_passed_on_again(tmp_path: Path) -> None:
    """An earlier attempt passed on steps that this one ran again."""
    tracker = Notebook(last_step=3)
    assert feed(tracker, tmp_path, 5) == []
    assert tracker.steps == [4, 5]


def test_late_figures_are_passed_on(tmp_path: Path) -> None:
    """The step itself was passed on by an earlier attempt."""
    tracker = Notebook(last_step=3)
    feeds = Feeds([tracker], TrackedRun("run", RunConfig.model_validate(CONFIG), Workspace(tmp_path), 2, 3, {}, {}))
    feeds.log(3, {"eval/loss": 1.0}, late=True)
    feeds.log(4, {"train/loss": 1.0})
    assert feeds.end("finished") == []
    assert tracker.steps == [3, 4]


def test_an_end_is_corrected(tmp_path: Path) -> None:
    """Writing the result may fail after it; the tracker is opened again, as after the last step. The same end is reported once."""
    tracker = Notebook()
    feeds = Feeds([tracker], TrackedRun("run", RunConfig.model_validate(CONFIG), Workspace(tmp_path), 1, 0, {}, {}))
    feeds.log(1, {})
    feeds.log(2, {})
    for state in ("finished", "finished", "failed", "failed"):
        assert feeds.end(state) == []
    assert tracker.states == ["finished", "failed"]
    assert tracker.resumed == [0, 2]


def test_a_tracker_that_recovers_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps wait for it, and nothing is said at the end."""
    monkeypatch.setattr("finetune_trainer.trackers.feed.PAUSES", (0.001,))
    recovered, refusing = threading.Event(), failing(3)

    def before() -> None:
        refusing()
        recovered.set()

    tracker = Notebook(before)
    feeds = Feeds([tracker], TrackedRun("run", RunConfig.model_validate(CONFIG), Workspace(tmp_path), 1, 0, {}, {}))
    feeds.log(1, {})
    assert recovered.wait(60)
    feeds.log(2, {})
    assert feeds.end("finished") == []
    assert (tracker.steps, tracker.states) == ([1, 2], ["finished"])


def test_a_tracker_that_refuses_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the log when it begins, on one line, and in the result at the end with what is missing."""
    tracker = Notebook(failing(1000))
    assert feed(tracker, tmp_path, 120) == [
        "TrackerFailed: notebook: 503: come back later; the figures of 120 steps are missing there, and complete in metrics.csv"
    ]
    assert capsys.readouterr().out == (
        "train: notebook: 503: come back later; the training goes on, and the figures are sent again later\n"
    )


def test_a_tracker_that_hangs_does_not_hold_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded, and so is what waits for it."""
    monkeypatch.setitem(END, "finished", 0.05)
    monkeypatch.setattr("finetune_trainer.trackers.feed.WAITING", 10)
    answer = threading.Event()

    def hang() -> None:
        answer.wait(60)

    tracker = Notebook(hang)
    assert feed(tracker, tmp_path, 25) == [
        "TrackerFailed: notebook: it did not take the last figures in time; the figures of 25 steps are missing there, and complete in "
        "metrics.csv"
    ]
    answer.set()


def test_an_outcome_costs_publish_at_most_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tracker takes it, one refuses, one hangs."""
    monkeypatch.setattr("finetune_trainer.trackers.outcome.WAIT", 0.5)
    answer = threading.Event()

    def hang() -> None:
        answer.wait(60)

    trackers = [Notebook(name="good"), Notebook(failing(1), name="refusing"), Notebook(hang, name="hanging")]
    run = TrackedRun("run", RunConfig.model_validate(CONFIG), Workspace(tmp_path), 0, 0, {}, {})
    warnings = show(trackers, run, Outcome(12, {"tuned/loss": 1.0}, {"gate": "passed"}))
    answer.set()
    assert trackers[0].states == ["passed"]
    assert [(warning.code, warning.message) for warning in warnings] == [
        ("TrackerFailed", "refusing: 503: come back later; the scores of the model are missing there"),
        ("TrackerFailed", "hanging: it did not take them in time; the scores of the model are missing there"),
    ]
    assert capsys.readouterr().out.splitlines() == [f"publish: {warning.message}" for warning in warnings]


def test_a_tracker_without_its_package_is_refused() -> None:
    """Before the training, naming the field; one whose package is there is not."""
    check_packages([Notebook()], RunConfig.model_validate(CONFIG))
    with pytest.raises(StageFailure, match="no_such_package is not installed") as refused:
        check_packages([Notebook(package="no_such_package")], RunConfig.model_validate(CONFIG))
    assert (refused.value.error.code, refused.value.error.param) == ("TrackerNotInstalled", "tracking.notebook")


def test_the_documented_tracker(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The example of docs/extending.md is a tracker."""
    module: dict[str, Any] = {}
    exec(documented_example("A tracker"), module)
    assert feed(module["ENTRY"], tmp_path, 2) == []
    assert capsys.readouterr().out == "step 1: loss 1.000\nstep 2: loss 0.500\nthe training has finished\n"


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        ({"sft": {"focalGamma": 2}}, {"objective": "sft", "sft.focalGamma": 2}),
        ({"objective": "dpo"}, {"objective": "dpo", "dpo.beta": 0.1, "dpo.loss": "sigmoid"}),
        ({"objective": "orpo", "orpo": {"beta": 0.3}}, {"objective": "orpo", "orpo.beta": 0.3}),
        (
            {"objective": "kto", "kto": {"undesirableWeight": 2}},
            {"objective": "kto", "kto.beta": 0.1, "kto.desirableWeight": 1, "kto.undesirableWeight": 2},
        ),
    ],
)
def test_a_run_is_shown_with_the_settings_of_its_objective(method: dict[str, Any], shown: dict[str, Any], tmp_path: Path) -> None:
    """Beside the hyperparameters: runs that differ in nothing else can be told apart."""
    summary = PrepareSummary(
        dataset=DatasetSummary(train_examples=1, validation_examples=0, train_tokens=0, supervised_tokens=0, digest="d"),
        hyperparameters={}, total_steps=1, estimate=Estimate(model_bytes=0, workspace_bytes=0), base_digest="b", base_parameters=0,
    )  # fmt: skip
    values = ResolvedHyperparameters(
        total_steps=20, steps_per_epoch=10, batch_size=3, learning_rate=0.001, scheduler="constant", warmup_steps=10, weight_decay=0.2,
        max_grad_norm=0.3, max_sequence_length=2048, precision="fp32", seed=7, checkpoint_every=5, micro_batch_tokens=2048,
    )  # fmt: skip
    config = RunConfig.model_validate(CONFIG | {"method": method})
    prepared = Prepared(spec_digest="", base_path="", method=config.method, hyperparameters=values, files={}, summary=summary)
    run = tracked_run(config, prepared, Workspace(tmp_path), objective_of(config).settings(config.method), attempt=1)
    assert run.parameters.items() >= (shown | {"batchSize": 3, "strategy": "ddp"}).items()
