"""A minimal API server with the discovery, LIST and WATCH that a client needs, and failures on demand."""

import asyncio
import json
from typing import Any

from aiohttp import web

from finetune_operator.objects.resources import OURS, Resource
from tests.unit.operator import raw

Raw = dict[str, Any]


class WatchServer:
    """Objects by resource and name; every watch of a resource gets every event of it."""

    def __init__(self) -> None:
        self.version = 10
        self.objects: dict[str, dict[str, Raw]] = {ours.plural: {} for ours in OURS}
        self.absent: set[str] = set()
        """Plurals of the kinds that have no definition now."""
        self.watches: dict[str, list[asyncio.Queue[bytes | None]]] = {ours.plural: [] for ours in OURS}
        self.history: dict[str, list[tuple[int, bytes]]] = {ours.plural: [] for ours in OURS}
        """Every change, for watches that begin at an older version."""
        self.asked: list[str] = []
        """Path and query of each request for objects."""
        self.close_at_once = False

    def app(self) -> web.Application:
        """To be served."""
        app = web.Application()
        app.router.add_get("/api", self._core)
        app.router.add_get("/api/v1", self._core_kinds)
        app.router.add_get("/apis", self._groups)
        app.router.add_get("/apis/finetune.dev/v1alpha1", self._kinds)
        app.router.add_get("/apis/finetune.dev/v1alpha1/{plural}", self._collection)
        return app

    # ---- what happens in the cluster

    def put(self, resource: Resource, name: str) -> None:
        """Creates or changes an object, and notifies the watches."""
        self.version += 1
        kind = "MODIFIED" if name in self.objects[resource.plural] else "ADDED"
        obj = {**raw.job(name, self.version), "kind": resource.kind, "apiVersion": resource.api_version}
        self.objects[resource.plural][name] = obj
        self._change(resource, {"type": kind, "object": obj})

    def delete(self, resource: Resource, name: str) -> None:
        """Deletes an object, and notifies the watches."""
        self.version += 1
        obj = self.objects[resource.plural].pop(name)
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._change(resource, {"type": "DELETED", "object": obj})

    def fail(self, resource: Resource, code: int) -> None:
        """The watches get an ERROR event, and end."""
        status = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": "Expired", "message": f"error {code} for a test"}
        self.say(resource, json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
        self.close(resource)

    def say(self, resource: Resource, line: bytes) -> None:
        """Anything."""
        for watch in self.watches[resource.plural]:
            watch.put_nowait(line)

    def close(self, resource: Resource) -> None:
        """The watches end as after a timeout."""
        for watch in self.watches[resource.plural]:
            watch.put_nowait(None)

    def undefine(self, resource: Resource) -> None:
        """The CRD is deleted, and with it all of its objects."""
        self.absent.add(resource.plural)
        self.objects[resource.plural].clear()
        self.close(resource)

    def define(self, resource: Resource) -> None:
        """It is there again."""
        self.absent.discard(resource.plural)

    def _change(self, resource: Resource, event: Raw) -> None:
        line = json.dumps(event).encode() + b"\n"
        self.history[resource.plural].append((self.version, line))
        self.say(resource, line)

    # ---- what is asked

    async def _core(self, _: web.Request) -> web.Response:
        return web.json_response({"versions": ["v1"]})

    async def _core_kinds(self, _: web.Request) -> web.Response:
        """kopf does nothing before it has found these."""
        kind = {"name": "namespaces", "singularName": "", "kind": "Namespace", "namespaced": False, "verbs": ["list", "watch"]}
        return web.json_response({"resources": [kind]})

    async def _groups(self, _: web.Request) -> web.Response:
        version = {"groupVersion": "finetune.dev/v1alpha1", "version": "v1alpha1"}
        return web.json_response({"groups": [{"name": "finetune.dev", "versions": [version], "preferredVersion": version}]})

    async def _kinds(self, _: web.Request) -> web.Response:
        kinds = [
            {"name": ours.plural, "singularName": "", "kind": ours.kind, "namespaced": True, "verbs": ["list", "watch", "patch"]}
            for ours in OURS
            if ours.plural not in self.absent
        ]
        return web.json_response({"resources": kinds})

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        plural = request.match_info["plural"]
        self.asked.append(request.path_qs)
        if plural in self.absent:
            return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}, status=404)
        if "watch" in request.query:
            return await self._watch(request, plural)
        metadata = {"resourceVersion": str(self.version)}
        return web.json_response({"kind": "List", "metadata": metadata, "items": list(self.objects[plural].values())})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"\n")
        if self.close_at_once:
            return response
        since = int(request.query["resourceVersion"])
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        for version, line in self.history[plural]:
            if version > since:
                lines.put_nowait(line)
        self.watches[plural].append(lines)
        try:
            while (said := await lines.get()) is not None:
                await response.write(said)
        finally:
            self.watches[plural].remove(lines)
        return response


async def until(true: Any, seconds: float = 20.0) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)
