"""A watched namespace, or all of them: its reflectors, and whether everything in it has been listed."""

import asyncio
import logging
from collections.abc import Callable

from finetune_operator.client.api import Api
from finetune_operator.client.errors import Forbidden, NotFound
from finetune_operator.listen.reflector import Reflector
from finetune_operator.listen.watches import Watches
from finetune_operator.objects.cache import Cache, Keys
from finetune_operator.objects.resources import CHILDREN, OURS

LOG = logging.getLogger(__name__)

RETRY_SECONDS = 30.0


class Scope:
    """`prime` before anything in it is reconciled, then `run` until cancelled."""

    def __init__(self, api: Api, namespace: str | None, cache: Cache, wake: Callable[[Keys], None], watches: Watches) -> None:
        self.namespace = namespace
        self.primed = False
        """True when everything in it has been listed."""
        self._ours, self._children = (
            [Reflector(api, resource, namespace, cache, wake, watches) for resource in resources] for resources in (OURS, CHILDREN)
        )

    async def prime(self) -> bool:
        """Lists all kinds. False when the namespace cannot be read or does not exist, which must not block the others."""
        refusals = (Forbidden, NotFound) if self.namespace else ()
        try:
            for reflector in (*self._children, *self._ours):
                await reflector.list_until_done(refusals)
        except refusals as error:
            LOG.warning("namespace %s is not served, retrying in %.0f s: %s", self.namespace, RETRY_SECONDS, error)
            return False
        self.primed = True
        return True

    async def relist(self) -> None:
        """Lists our own kinds again, retrying until it succeeds; does nothing in a namespace that is not served."""
        if self.primed:
            for reflector in self._ours:
                await reflector.list_until_done()

    async def run(self, served: Callable[[str | None], None]) -> None:
        """Watches until cancelled. A scope that could not be primed is retried until it succeeds, and `served` is called."""
        while not self.primed:
            await asyncio.sleep(RETRY_SECONDS)
            if await self.prime():
                served(self.namespace)
        async with asyncio.TaskGroup() as group:
            for reflector in self._children:
                group.create_task(reflector.watch())
            for reflector in self._ours:
                group.create_task(reflector.relist())
