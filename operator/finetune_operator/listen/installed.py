"""Looks again now and then whether something that others install is in the cluster. Knows not what."""

import asyncio
from collections.abc import Awaitable, Callable

PERIOD_SECONDS = 180.0


async def watch_installed(installed: Callable[[], Awaitable[bool]], changed: Callable[[bool], None], known: bool) -> None:
    """Checks again every few minutes, until cancelled."""
    while True:
        await asyncio.sleep(PERIOD_SECONDS)
        found = await installed()
        if found != known:
            known = found
            changed(found)
