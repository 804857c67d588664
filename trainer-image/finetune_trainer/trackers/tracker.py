"""The protocol of a tracker."""

import contextlib
import importlib.util
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from finetune_api.run_config import RunConfig
from finetune_trainer.failure import invalid
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace

OF_AN_ATTEMPT = ("microBatchTokens", "gradientCheckpointing")
"""Settings that depend on the memory that an attempt finds: a tracker keeps one value for the whole run."""


@dataclass(frozen=True)
class TrackedRun:
    """A training as a tracker sees it; all attempts of the training are one run."""

    id: str
    """The same for all attempts."""
    config: RunConfig
    workspace: Workspace
    attempt: int
    resumed_step: int
    """Step of the checkpoint that this attempt starts from, or 0: later steps of earlier attempts are run again."""
    parameters: Mapping[str, object]
    """Hyperparameters and other settings: numbers, texts, booleans."""
    tags: Mapping[str, str]
    """Lineage: job, base, dataset, image."""


@dataclass(frozen=True)
class Point:
    """The figures of one step."""

    step: int
    time: float
    """Seconds since the epoch."""
    figures: Mapping[str, float]
    """By names such as train/loss and eval/loss."""
    late: bool = False
    """The step was passed on before, maybe by an earlier attempt: these are further figures of it, of a validation that came later."""


@dataclass(frozen=True)
class Outcome:
    """What publish found out about the model of a training."""

    step: int
    """The last one of the training."""
    figures: Mapping[str, float]
    """Scores of both models: base/loss, tuned/loss."""
    tags: Mapping[str, str]
    """published_model, model_digest (of the weights' files), gate: passed or failed, if there is one."""


def tracked_run(
    config: RunConfig, prepared: Prepared, workspace: Workspace, objective: Mapping[str, object], attempt: int = 0, resumed_step: int = 0
) -> TrackedRun:
    """The run of a training, with what was decided for it; `objective` are the objective's own settings."""
    decided = {name: value for name, value in prepared.settings().items() if name not in OF_AN_ATTEMPT}
    chosen = {"task": config.task, "objective": config.method.objective, "strategy": prepared.strategy.type}
    parameters = {**decided, **chosen, **objective}
    summary = prepared.summary
    tags = {
        "job": config.job.name,
        "namespace": config.job.namespace,
        "job_uid": config.job.uid,
        "model": config.output_model,
        "spec_digest": prepared.spec_digest,
        "base": config.base.source.name,
        "base_digest": summary.base_digest,
        "dataset": config.dataset.train.name,
        "dataset_digest": summary.dataset.digest,
        "image": config.image,
    }
    return TrackedRun(
        run_id(workspace, prepared.identity),
        config,
        workspace,
        attempt,
        resumed_step,
        parameters,
        {name: value for name, value in tags.items() if value},
    )


def run_id(workspace: Workspace, identity: str) -> str:
    """Of the training of this identity in the workspace; made up for its first attempt."""
    with contextlib.suppress(OSError, ValueError):
        owner, known = workspace.run_id.read_text().splitlines()
        if owner == identity:
            return known
    made = uuid.uuid4().hex
    write_atomic(workspace.run_id, f"{identity}\n{made}\n")
    return made


def check_packages(trackers: "Iterable[Tracker]", config: RunConfig) -> None:
    """Raises StageFailure for a tracker that the run uses and whose package this image is without."""
    for tracker in trackers:
        if tracker.wanted(config) and importlib.util.find_spec(tracker.package) is None:
            raise invalid(
                "TrackerNotInstalled",
                f"the Python package {tracker.package} is not installed: remove tracking.{tracker.name}, or use an image of the trainer "
                "that has it",
                param=f"tracking.{tracker.name}",
            )


class TrackerSession(Protocol):
    """An open run. Only one thread uses it."""

    @property
    def last_step(self) -> int:
        """The last step whose figures the tracker has and keeps; 0 if there are none. Points up to it are not passed on, but for
        late ones."""
        ...

    def log(self, points: Sequence[Point]) -> None:
        """Raises if they may not have been taken; the same points are then passed again."""
        ...

    def finish(self, state: str) -> None:
        """The attempt ends: "finished", "stopped" (by SIGTERM) or "failed". Later attempts open the run again."""
        ...


class Tracker(Protocol):
    """An entry of TRACKERS. Import the tracker's library in `open`: only a run that uses the tracker pays for it."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def package(self) -> str:
        """The Python package that `open` imports: without it in the image, prepare refuses a run that uses the tracker."""
        ...

    def wanted(self, config: RunConfig) -> bool:
        """Whether the run uses it."""
        ...

    def open(self, run: TrackedRun) -> TrackerSession:
        """Starts the run, or continues that of the earlier attempts. An error's text is shown to the user."""
        ...

    def report(self, run: TrackedRun, outcome: Outcome) -> None:
        """Adds the outcome to the run, after its training has finished; a second time changes nothing."""
        ...
