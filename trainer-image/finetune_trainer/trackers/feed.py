"""Feeds the trackers of a run: each has a bounded queue and a thread, so that a tracker that is slow, down or refuses does not hold up
the training, nor another tracker."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from finetune_api.result import StageWarning
from finetune_trainer.trackers.tracker import Point, TrackedRun, Tracker, TrackerSession

WAITING = 10_000
"""Steps that may wait for a tracker; later ones are dropped until there is room."""
BATCH = 50
"""Steps that are passed to a tracker at once."""
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between attempts to reach a tracker."""
END = {"finished": 30.0, "stopped": 5.0, "failed": 5.0}
"""Seconds that the end of an attempt waits for all of its trackers."""


class Feed:
    """Passes the figures of a run to one tracker. An error is shown once; the figures are passed again later."""

    def __init__(self, tracker: Tracker, run: TrackedRun) -> None:
        self._tracker = tracker
        self._run = run
        self._session: TrackerSession | None = None
        self._waiting: deque[Point] = deque()
        self._changed = threading.Condition()
        self._state = ""
        """How the attempt ended; empty while it runs."""
        self._problem = ""
        """Of the latest try; empty if that worked."""
        self._shown = False
        self._lost = 0
        self._thread = threading.Thread(target=self._work, name=f"tracker-{tracker.name}", daemon=True)
        self._thread.start()

    def log(self, point: Point) -> None:
        """Returns at once."""
        with self._changed:
            if len(self._waiting) < WAITING:
                self._waiting.append(point)
                self._changed.notify()
            else:
                self._lost += 1

    def end(self, state: str) -> None:
        """Lets the tracker finish; returns at once."""
        with self._changed:
            self._state = state
            self._changed.notify()

    def join(self, seconds: float) -> StageWarning | None:
        """Waits for the end for at most so long; then says what the tracker has not got."""
        self._thread.join(seconds)
        with self._changed:
            undelivered = len(self._waiting) + self._lost
            if not undelivered and not self._thread.is_alive() and not self._problem:
                return None
            why = self._problem or "it did not take the last figures in time"
        steps = f"{undelivered:,} step{'s' * (undelivered != 1)}"
        missing = f"the figures of {steps} are missing there" if undelivered else "the run may look unfinished there"
        return StageWarning(code="TrackerFailed", message=f"{self._tracker.name}: {why}; {missing}, and complete in metrics.csv"[:500])

    def _work(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._state)
                points, state = list(islice(self._waiting, BATCH)), self._state
                last = state if len(points) == len(self._waiting) else ""
            if self._passed_on(points, last):
                failures = 0
                with self._changed:
                    for _ in points:
                        self._waiting.popleft()
            else:
                last = state  # no other try after the end
                failures += 1
            if last:
                return
            if failures:
                with self._changed:
                    self._changed.wait_for(lambda: self._state, PAUSES[min(failures, len(PAUSES)) - 1])

    def _passed_on(self, points: Sequence[Point], last: str) -> bool:
        try:
            session = self._session = self._session or self._tracker.open(self._run)
            if new := [point for point in points if point.late or point.step > session.last_step]:
                session.log(new)
            if last:
                session.finish(last)
        except Exception as exc:
            why = one_line(exc)
            if not self._shown:
                print(f"train: {self._tracker.name}: {why}; the training goes on, and the figures are sent again later", flush=True)
            self._problem, self._shown = why, True
            return False
        self._problem = ""
        return True


class Feeds:
    """All trackers of a run."""

    def __init__(self, trackers: Iterable[Tracker], run: TrackedRun) -> None:
        self._trackers = [tracker for tracker in trackers if tracker.wanted(run.config)]
        self._feeds = [Feed(tracker, run) for tracker in self._trackers]
        self._run = run
        self._state = ""

    def log(self, step: int, figures: Mapping[str, float], *, late: bool = False) -> None:
        """Figures of a step, for all trackers; returns at once. `late`: further ones of a step that was there before."""
        point = Point(step, time.time(), figures, late)
        self._run = replace(self._run, resumed_step=max(step, self._run.resumed_step))
        for feed in self._feeds:
            feed.log(point)

    def end(self, state: str) -> list[StageWarning]:
        """The end of the attempt, which another one corrects: what comes after the training may fail. Returns when all trackers have
        finished, or after END seconds."""
        if self._state == state:
            return []
        if self._state:  # their sessions are over
            self._feeds = [Feed(tracker, self._run) for tracker in self._trackers]
        self._state, feeds = state, self._feeds
        for feed in feeds:
            feed.end(state)
        deadline = time.monotonic() + END[state]
        return [warning for feed in feeds if (warning := feed.join(max(0.0, deadline - time.monotonic()))) is not None]


def one_line(exc: Exception) -> str:
    """What an error says; of a long text the beginning and the end, where clients of HTTP have the cause."""
    text = " ".join(str(exc).split()) or type(exc).__name__
    return text if len(text) <= 300 else f"{text[:140]} ... {text[-150:]}"
