"""What the pods say: the tails of their logs, read beside the workers, so that a silent kubelet holds up nobody.

Nothing here fails. `said` answers at once with what was read last, and whoever asked is told when there is something new.
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
"""After a reading that failed, and for all pods of a node whose kubelet did not answer."""
REQUEST_SECONDS = 3.0
LAST_WORDS_SECONDS = 10.0
"""So long a decision about a pod that has ended waits for what it said last."""
AT_A_TIME = 16
REMEMBERED = 2048
LINES = 20
LINE_LENGTH = 512

# The kubelet takes the tail first and then cuts its *end* at limitBytes; 40 lines of 16 KiB at most stay below it.
TAIL = {"tailLines": "40", "limitBytes": str(1 << 20), "container": STAGE_CONTAINER}


@dataclass(frozen=True, slots=True)
class Said:
    """What is kept of a log."""

    progress: Progress | None = None
    lines: tuple[str, ...] = ()
    """The last ones, cut, without progress lines."""


@dataclass(slots=True)
class _Known:
    asked_at: float
    said: Said
    due_at: float = 0.0
    """When it is worth reading again."""
    tried: bool = False
    reading: "asyncio.Task[None] | None" = field(default=None, repr=False)


class StageLogs:
    """`said` from the loop of the workers. The clocks: monotonic for our own pace, wall time for what the API server says."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: OrderedDict[tuple[str, bool], _Known] = OrderedDict()
        self._room = asyncio.Semaphore(AT_A_TIME)
        self._silent: dict[str, float] = {}
        """Nodes whose kubelet did not answer, and until when it is not asked again."""

    def said(self, pod: Pod, now: float, changed: Callable[[], None]) -> Said | None:
        """What a pod said last, as far as it is known; None while the last words of one that has ended are being read."""
        ended = pod.ended
        known, clock = self._remembered(pod, ended), self._clock()
        lost = pod.gone_by is not None and now > pod.gone_by and not ended
        if known.reading is None and clock >= known.due_at and not lost:
            known.reading = asyncio.create_task(self._read(pod, known, ended, changed))
        if ended and not known.tried and clock - known.asked_at < LAST_WORDS_SECONDS:
            return None
        return known.said

    def _remembered(self, pod: Pod, ended: bool) -> _Known:
        key, running = (pod.meta.uid, ended), self._known.get((pod.meta.uid, False))
        known = self._known.setdefault(key, _Known(self._clock(), running.said if running else Said()))
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

    async def _read(self, pod: Pod, known: _Known, ended: bool, changed: Callable[[], None]) -> None:
        before, known.due_at = known.said, self._clock() + RETRY_SECONDS
        async with self._room:
            try:
                if self._clock() >= self._silent.get(pod.node, 0.0):
                    text = await self._api.text(PODS.path(pod.meta.namespace, pod.meta.name, "log"), TAIL, REQUEST_SECONDS)
                    known.said, known.due_at = said_in(text), float("inf") if ended else self._clock() + FRESH_SECONDS
            except NotFound:
                known.due_at = float("inf") if ended else known.due_at
            except ApiError as error:
                if isinstance(error, ServerGone):
                    self._silent[pod.node] = self._clock() + RETRY_SECONDS
                LOG.debug("not readable now: %s", error)
            except Exception:
                LOG.exception("the log of pod %s/%s cannot be understood", pod.meta.namespace, pod.meta.name)
        first, known.tried, known.reading = not known.tried, True, None
        if known.said != before or (ended and first):
            changed()


def said_in(text: str) -> Said:
    """What a log's tail holds."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(PREFIX)]
    return Said(last_progress(text), tuple(line[:LINE_LENGTH] for line in lines[-LINES:]))
