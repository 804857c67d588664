"""TensorBoard event files, of every training, in the workspace's runs/ folder; publish copies them to the model directory.

Written with tensorboardX, which needs nothing that the image does not have anyway; torch.utils.tensorboard needs TensorBoard itself.
Its EventsWriter writes where it is called; SummaryWriter has a thread of its own that a full volume would end unnoticed.
"""

import time
from collections.abc import Sequence
from typing import Any

from finetune_api.run_config import RunConfig
from finetune_trainer.distributed.settings import hidden
from finetune_trainer.trackers.tracker import Outcome, Point, TrackedRun


class TensorBoard:
    """The entry."""

    name = "tensorboard"
    package = "tensorboardX"

    def wanted(self, config: RunConfig) -> bool:
        """Always."""
        return True

    def open(self, run: TrackedRun) -> "EventFile":
        """A new file: TensorBoard reads all files of a folder, in the order in which they were begun, as one run."""
        file = event_file(run, f"attempt-{run.attempt}", run.resumed_step)
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.summary import hparams

        # Readers drop the steps of earlier files from this one on.
        file.write(Event(step=run.resumed_step + 1, session_log=SessionLog(status=SessionLog.START)))
        for summary in hparams(dict(run.parameters), {}):
            file.write(Event(summary=summary))
        return file

    def report(self, run: TrackedRun, outcome: Outcome) -> None:
        """A file of its own, with the scores at the last step and the rest as text."""
        file = event_file(run, "publish", 0)
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import text

        file.log([Point(outcome.step, time.time(), outcome.figures)])
        for name, value in outcome.tags.items():
            file.write(Event(step=outcome.step, wall_time=time.time(), summary=text(name, value)))
        file.finish("finished")


def events_writer() -> Any:
    """tensorboardX's class, without the clients of object stores, which the first import of the package loads where they are installed."""
    with hidden("google.cloud.storage", "boto3"):
        from tensorboardX.event_file_writer import EventsWriter
    return EventsWriter


def event_file(run: TrackedRun, name: str, last_step: int) -> "EventFile":
    """A new file in the run's folder, with `name` at its end."""
    folder = run.workspace.runs / run.config.output_model
    folder.mkdir(parents=True, exist_ok=True)
    # The writer's own name has the second alone: a file begun in the second of another one would overwrite it.
    return EventFile(events_writer()(str(folder / "events"), f".{time.time_ns()}.{name}"), last_step)


class EventFile:
    """One attempt's file."""

    def __init__(self, writer: Any, last_step: int) -> None:
        self.last_step = last_step
        self._writer = writer

    def write(self, event: Any) -> None:
        """Into the buffer."""
        self._writer.write_event(event)

    def log(self, points: Sequence[Point]) -> None:
        """An event for each step."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        for point in points:
            values = [Summary.Value(tag=name, simple_value=value) for name, value in point.figures.items()]
            self.write(Event(step=point.step, wall_time=point.time, summary=Summary(value=values)))
        self._writer.flush()

    def finish(self, state: str) -> None:
        """Closes the file."""
        self._writer.close()


TENSORBOARD = TensorBoard()
