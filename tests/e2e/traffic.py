"""A client that keeps asking: fifty requests a second to one address, and what became of every one of them."""

import asyncio
import threading
from collections import Counter
from typing import Any, Self

import httpx

PER_SECOND = 50
CONNECTIONS = 4
"""Clients that keep their connections; every other request comes on a new one."""


class Traffic:
    """Asks from `__enter__` to `__exit__`, in a thread of its own: for the list of models, and now and then for an answer."""

    def __init__(self, address: str, model: str) -> None:
        self.outcomes: Counter[str] = Counter()
        """Requests by outcome: "200", another status, or an exception."""
        self._address = address
        self._model = model
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    @property
    def failures(self) -> dict[str, int]:
        """All outcomes but 200."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != "200"}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=60)

    async def _run(self) -> None:
        clients = [httpx.AsyncClient(base_url=self._address, timeout=30) for _ in range(CONNECTIONS)]
        asked: set[asyncio.Task[None]] = set()
        clock, number = asyncio.get_running_loop().time, 0
        began = clock()
        while not self._over.is_set():
            task = asyncio.create_task(self._ask(clients, number))
            asked.add(task)
            task.add_done_callback(asked.discard)
            number += 1
            await asyncio.sleep(max(began + number / PER_SECOND - clock(), 0))
        await asyncio.gather(*asked)
        for client in clients:
            await client.aclose()

    async def _ask(self, clients: list[httpx.AsyncClient], number: int) -> None:
        try:
            if number % 2:
                response = await self._request(clients[number % CONNECTIONS], number)
            else:
                async with httpx.AsyncClient(base_url=self._address, timeout=30) as fresh:
                    response = await self._request(fresh, number)
            outcome = str(response.status_code)
        except httpx.HTTPError as error:
            outcome = f"{type(error).__name__}: {error}"
        self.outcomes[outcome] += 1

    async def _request(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        if number % 10 > 1:
            return await client.get("/v1/models")
        body: dict[str, Any] = {"model": self._model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
        return await client.post("/v1/completions", json=body)
