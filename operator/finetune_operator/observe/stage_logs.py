"""The tails of the pods' logs, read outside the workers, so that an unresponsive kubelet blocks no reconcile.

No method raises. `tail` returns immediately what was read last, and calls back when there is something new.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from finetune_api.progress import PREFIX, Progress, last_progress
from finetune_operator.client.api import Api
from finetune_operator.client.errors import ApiError, NotFound, ServerGone
from finetune_operator.objects.names import STAGE_CONTAINER
from finetune_operator.objects.records import Pod
from finetune_operator.objects.resources import PODS

LOG = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
RETRY_SECONDS = 30.0
"""After a failed read, and for all pods on a node whose kubelet did not respond."""
REQUEST_SECONDS = 3.0
LAST_LINES_SECONDS = 10.0
"""How long a decision about an ended pod waits for the end of its log."""
AT_A_TIME = 16
REMEMBERED = 2048
LINES = 20
LINE_LENGTH = 512

# The kubelet takes the tail first and then cuts its *end* at limitBytes; 40 lines of 16 KiB at most stay below it.
TAIL = {"tailLines": "40", "limitBytes": str(1 << 20), "container": STAGE_CONTAINER}


@dataclass(frozen=True, slots=True)
class LogTail:
    """The parsed end of a log."""

    progress: Progress | None = None
    lines: tuple[str, ...] = ()
    """The last lines, truncated, without progress lines."""


@dataclass(slots=True)
class _Known:
    asked_at: float
    tail: LogTail
    due_at: float = 0.0
    """When it should be read again."""
    tried: bool = False
    reading: "asyncio.Task[None] | None" = field(default=None, repr=False)


class StageLogs:
    """Call `tail` in the event loop of the workers. `clock` is monotonic; `now` is wall time, like the times in objects."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: OrderedDict[tuple[str, bool], _Known] = OrderedDict()
        self._room = asyncio.Semaphore(AT_A_TIME)
        self._silent: dict[str, float] = {}
        """Nodes whose kubelet did not respond, and until when it is not contacted again."""

    def tail(self, pod: Pod, now: float, changed: Callable[[], None]) -> LogTail | None:
        """The last known tail of a pod's log; None while that of an ended pod is being read."""
        ended = pod.ended
        known, clock = self._remembered(pod, ended), self._clock()
        lost = pod.gone_by is not None and now > pod.gone_by and not ended
        if known.reading is None and clock >= known.due_at and not lost:
            known.reading = asyncio.create_task(self._read(pod, known, ended, changed))
        if ended and not known.tried and clock - known.asked_at < LAST_LINES_SECONDS:
            return None
        return known.tail

    def _remembered(self, pod: Pod, ended: bool) -> _Known:
        key, running = (pod.meta.uid, ended), self._known.get((pod.meta.uid, False))
        known = self._known.setdefault(key, _Known(self._clock(), running.tail if running else LogTail()))
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

    async def _read(self, pod: Pod, known: _Known, ended: bool, changed: Callable[[], None]) -> None:
        before, known.due_at = known.tail, self._clock() + RETRY_SECONDS
        async with self._room:
            try:
                if self._clock() >= self._silent.get(pod.node, 0.0):
                    text = await self._api.text(PODS.path(pod.meta.namespace, pod.meta.name, "log"), TAIL, REQUEST_SECONDS)
                    known.tail, known.due_at = parse_tail(text), float("inf") if ended else self._clock() + FRESH_SECONDS
            except NotFound:
                known.due_at = float("inf") if ended else known.due_at
            except ApiError as error:
                if isinstance(error, ServerGone):
                    self._silent[pod.node] = self._clock() + RETRY_SECONDS
                LOG.debug("cannot be read: %s", error)
            except Exception:
                LOG.exception("the log of pod %s/%s cannot be parsed", pod.meta.namespace, pod.meta.name)
        first, known.tried, known.reading = not known.tried, True, None
        if known.tail != before or (ended and first):
            changed()


def parse_tail(text: str) -> LogTail:
    """Progress and lines in the tail of a log."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(PREFIX)]
    return LogTail(last_progress(text), tuple(line[:LINE_LENGTH] for line in lines[-LINES:]))
