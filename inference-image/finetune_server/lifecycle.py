"""The server's state between start and exit. Used on the event loop only."""

import asyncio

from finetune_server.models.served_model import AnyModel


class Lifecycle:
    """loading -> ready -> draining -> closed; `ready` is skipped if SIGTERM arrives while the model loads."""

    def __init__(self) -> None:
        self.model: AnyModel | None = None
        """None until the model has passed its self-test."""
        self.draining = False
        """SIGTERM has arrived: not ready any more."""
        self.refusing = False
        """New requests are refused."""
        self.in_flight = 0
        """API requests in progress."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._newest_request = 0.0

    @property
    def broken(self) -> bool:
        """True if the engine failed: only a restart helps."""
        return self.model is not None and self.model.engine.failed

    @property
    def ready(self) -> bool:
        """True if requests should be sent here."""
        return self.model is not None and not self.draining and not self.broken

    @property
    def state(self) -> str:
        """For logs and probes."""
        if self.broken:
            return "broken"
        if self.draining:
            return "draining"
        return "loading" if self.model is None else "ready"

    def request_started(self) -> None:
        """Counts an API request as in progress."""
        self.in_flight += 1
        self._newest_request = asyncio.get_running_loop().time()
        self._idle.clear()

    def request_ended(self) -> None:
        """The request is no longer in progress."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self._idle.set()

    async def drain(self, *, quiet: float, limit: float, grace: float) -> bool:
        """Becomes unready, but accepts requests until none has arrived for `quiet` seconds, at most for `limit` seconds, because
        clients learn only gradually that this server stops. Then waits for those in progress; False if `grace` seconds are not enough."""
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
