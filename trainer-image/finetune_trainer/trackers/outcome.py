"""What publish found out about the model, for the trackers of its training: scores, gate, name and digest.

Trackers are asked in threads and waited for only so long: one that is down or slow costs publish nothing else.
"""

import threading
import time
from collections.abc import Iterable

from finetune_api.model_directory import ModelDescription
from finetune_api.result import StageWarning
from finetune_trainer.stage import interruption
from finetune_trainer.trackers.feed import one_line
from finetune_trainer.trackers.tracker import Outcome, TrackedRun, Tracker

WAIT = 30.0
"""Seconds, for all trackers."""


def outcome_of(description: ModelDescription, weights: str, step: int) -> Outcome:
    """Of a model that is described; `weights` is the path of the artifact with its weights, `step` the last one of the training."""
    report = description.evaluation
    assert report is not None, "publish measures before it describes"
    scores = {"base": report.base, "tuned": report.tuned}
    figures = {f"{who}/{name}": value for who, found in scores.items() for name, value in found.items()}
    digest = next(artifact.sha256 for artifact in description.artifacts if artifact.path == weights)
    tags = {"published_model": description.model, "model_digest": f"sha256:{digest}"}
    if report.gate:
        tags |= {"gate": "passed" if report.gate_passed else "failed", "gate_conditions": "; ".join(gate.text for gate in report.gate)}
    return Outcome(step, figures, tags)


def show(trackers: Iterable[Tracker], run: TrackedRun, outcome: Outcome) -> list[StageWarning]:
    """Passes it to the trackers of the run; says, also in the log, what was not taken."""
    asked = [Report(tracker, run, outcome) for tracker in trackers if tracker.wanted(run.config)]
    deadline = time.monotonic() + WAIT
    while any(report.thread.is_alive() for report in asked) and time.monotonic() < deadline:
        interruption.check()
        next(report for report in asked if report.thread.is_alive()).thread.join(0.2)
    late = "it did not take them in time"
    problems = {report.name: report.problem or (late if report.thread.is_alive() else "") for report in asked}
    said = [f"{name}: {problem}; the scores of the model are missing there" for name, problem in problems.items() if problem]
    for message in said:
        print(f"publish: {message}", flush=True)
    return [StageWarning(code="TrackerFailed", message=message[:500]) for message in said]


class Report:
    """One tracker's."""

    def __init__(self, tracker: Tracker, run: TrackedRun, outcome: Outcome) -> None:
        self.name = tracker.name
        self.problem = ""
        self.thread = threading.Thread(target=self._work, args=(tracker, run, outcome), name=f"tracker-{tracker.name}", daemon=True)
        self.thread.start()

    def _work(self, tracker: Tracker, run: TrackedRun, outcome: Outcome) -> None:
        try:
            tracker.report(run, outcome)
        except Exception as exc:
            self.problem = one_line(exc)
