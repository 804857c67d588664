"""Where the server stands between its start and its end. Touched on the event loop only."""

import asyncio

from finetune_server.models.served_model import Classifier, LanguageModel


class Lifecycle:
    """loading -> ready -> draining -> closed; a server that is told to stop while it loads skips `ready`."""

    def __init__(self) -> None:
        self.model: LanguageModel | Classifier | None = None
        """Set once the model has answered its self-test."""
        self.draining = False
        """Told to stop: not ready any more."""
        self.refusing = False
        """Takes no new request."""
        self.in_flight = 0
        """API requests that are being answered."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._newest_request = 0.0

    @property
    def broken(self) -> bool:
        """True when the engine failed: only a restart helps."""
        return self.model is not None and self.model.engine.failed

    @property
    def ready(self) -> bool:
        """True when requests should be sent here."""
        return self.model is not None and not self.draining and not self.broken

    @property
    def state(self) -> str:
        """For people."""
        if self.broken:
            return "broken"
        if self.draining:
            return "draining"
        return "loading" if self.model is None else "ready"

    def request_started(self) -> None:
        """Counts an API request."""
        self.in_flight += 1
        self._newest_request = asyncio.get_running_loop().time()
        self._idle.clear()

    def request_ended(self) -> None:
        """Counts it out."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self._idle.set()

    async def drain(self, *, quiet: float, limit: float, grace: float) -> bool:
        """Goes unready, but takes requests until none has come for `quiet` seconds, at most for `limit`: the news that this server
        goes reaches its clients one by one. Then waits for the answers in progress; False when `grace` ran out first."""
        clock = asyncio.get_running_loop().time
        self.draining = True
        self._newest_request, end = clock(), clock() + limit
        while (left := min(self._newest_request + quiet, end) - clock()) > 0:
            await asyncio.sleep(left)
        self.refusing = True
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            return self.in_flight == 0
        return True
