"""Requests to the API server: HTTP on one session, orjson in and out, typed errors. Knows paths and verbs, but not what a kind means."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self

import aiohttp
import orjson
from yarl import URL

from finetune_operator.client.connection import Connection
from finetune_operator.client.errors import ApiError, ServerGone, error_of
from finetune_operator.objects.names import FIELD_MANAGER
from finetune_operator.objects.resources import Resource, resource_of
from finetune_operator.telemetry.metrics import API_REQUESTS

Object = dict[str, Any]

TRIES = 4
FIRST_PAGE, LARGEST_PAGE = 20, 500
PAGE_BYTES = 4 << 20
"""Target size of a page of a list: objects may have a kilobyte or a megabyte."""
WATCH_SECONDS = 300
SILENCE_SECONDS = 90
"""A watch receives a bookmark every minute; one without data for longer is considered broken."""
LARGEST_RETRY_AFTER = 10.0

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
"""Requests only the metadata of objects; lists and watches use different names for it."""

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_SECONDS)


class Api:
    """Use as an async context manager. Every method raises ApiError, or one of its subclasses in errors.py."""

    def __init__(self, connection: Connection, before_write: Callable[[], None] = lambda: None) -> None:
        self._connection = connection
        self.before_write = before_write
        """Called before every write; does not return when this process must not write."""
        self.retry_delay = 0.2
        """Seconds; doubles with every try, and varies by half."""

    async def __aenter__(self) -> Self:
        # No limit of connections: each watch needs one, and the number of workers bounds the others.
        connector = aiohttp.TCPConnector(limit=0, ssl=self._connection.tls)
        self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Object:
        """An object, or one page of a list."""
        return _object(await self._retried("GET", path, params))

    async def text(self, path: str, params: Mapping[str, str], seconds: float) -> str:
        """A log. It comes from a kubelet, which may not respond: one try, with this timeout in seconds."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=seconds)
        return (await self._retried("GET", path, params, tries=1, timeout=timeout)).decode(errors="replace")

    async def pages(self, path: str, params: Mapping[str, str], metadata_only: bool = False) -> AsyncIterator[tuple[list[Object], int]]:
        """The pages of a list, each with the resourceVersion of the list. Raises Expired when the continue token has expired."""
        accept = _METADATA.format("List") if metadata_only else ""
        token, limit = "", FIRST_PAGE
        while True:
            query = {**params, "limit": str(limit)} | ({"continue": token} if token else {})
            data = await self._retried("GET", path, query, accept=accept)
            limit = max(1, min(LARGEST_PAGE, limit * 8, limit * PAGE_BYTES // len(data)))
            page = _object(data)
            del data
            yield page.get("items") or [], int(page["metadata"]["resourceVersion"])
            token = page["metadata"].get("continue") or ""
            if not token:
                return

    async def watch(
        self, path: str, params: Mapping[str, str], since: int, metadata_only: bool = False, opened: Callable[[], None] = lambda: None
    ) -> AsyncIterator[Object]:
        """Events {"type", "object"} since a resourceVersion, including bookmarks, until the server closes the stream."""
        query = {
            **params, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": str(since),
            "timeoutSeconds": str(WATCH_SECONDS + random.randrange(60)),
        }  # fmt: skip
        accept = _METADATA.format("") if metadata_only else ""
        async with self._open("GET", path, query, accept=accept, timeout=_WATCH_TIMEOUT) as response:
            opened()
            async for line in _lines(response):
                event = _event(f"watch {path}", line)
                if event["type"] == "ERROR":
                    raise error_of(f"watch {path}", event["object"].get("code") or 500, event["object"])
                yield event

    async def create(self, obj: Object) -> Object:
        """POST. Not retried when the response is lost: the caller checks whether the object exists."""
        return await self.post(resource_of(obj).path(obj["metadata"]["namespace"]), obj)

    async def post(self, path: str, obj: Object) -> Object:
        """As `create`, for an object of any kind."""
        return _object(await self._retried("POST", path, {"fieldManager": FIELD_MANAGER}, obj))

    async def apply(self, obj: Object) -> Object:
        """Server-side apply with our field manager. A `metadata.uid` is a precondition."""
        path = resource_of(obj).path(obj["metadata"]["namespace"], obj["metadata"]["name"])
        params = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return _object(await self._retried("PATCH", path, params, obj, content_type=APPLY_PATCH))

    async def patch(self, obj: Object) -> Object:
        """Merge patch; uid and resourceVersion in the metadata are preconditions."""
        path = resource_of(obj).path(obj["metadata"]["namespace"], obj["metadata"]["name"])
        return _object(await self._retried("PATCH", path, {"fieldManager": FIELD_MANAGER}, obj, content_type=MERGE_PATCH))

    async def patch_status(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """Merge patch of the status sub-resource; uid and resourceVersion in the metadata are preconditions."""
        path = resource.path(namespace, name, "status")
        return _object(await self._retried("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, content_type=MERGE_PATCH))

    async def replace(self, resource: Resource, obj: Object) -> Object:
        """PUT; the resourceVersion in the metadata is a precondition."""
        path = resource.path(obj["metadata"]["namespace"], obj["metadata"]["name"])
        return _object(await self._retried("PUT", path, None, obj))

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> Object:
        """Deletes the object with that uid gracefully, dependents in the background. Returns a Status, or the terminating object."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        return _object(await self._retried("DELETE", resource.path(namespace, name), None, body))

    async def _retried(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "",
        tries: int = TRIES,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> bytes:
        for number in range(1, tries + 1):
            try:
                async with self._open(method, path, params, body, content_type, accept, timeout) as response:
                    return await response.read()
            except ServerGone as error:
                if number == tries or not (method == "GET" or _had_no_effect(error)):
                    raise
                await asyncio.sleep(self._delay(error, number))
        raise AssertionError("the last try returns or raises")

    def _delay(self, error: ServerGone, number: int) -> float:
        return random.uniform(0.5, 1.0) * self.retry_delay * 2.0**number + (error.retry_after or 0.0)

    @contextlib.asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "",
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request. A status of 400 or more and every connection error becomes an ApiError."""
        what = f"{method} {path}"
        url = URL(self._connection.server + path, encoded=True).with_query(params or {})
        headers = {"Accept": accept or "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        if authorization := await self._connection.authorization():
            headers["Authorization"] = authorization
        if method != "GET":
            self.before_write()
        try:
            async with self._session.request(
                method, url, data=orjson.dumps(body) if body is not None else None, headers=headers,
                timeout=timeout, server_hostname=self._connection.server_name,
            ) as response:  # fmt: skip
                API_REQUESTS.labels(method, str(response.status)).inc()
                if response.status >= 400:
                    raise await _error(what, response)
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            API_REQUESTS.labels(method, "none").inc()
            raise ServerGone(what, 0, {"message": f"no response: {error or type(error).__name__}"}) from error


async def _error(what: str, response: aiohttp.ClientResponse) -> ApiError:
    text = await response.read()
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = {"message": text.decode(errors="replace")[:500]}
    error = error_of(what, response.status, body if isinstance(body, dict) else None)
    if isinstance(error, ServerGone):
        error.retry_after = _seconds(response.headers.get("Retry-After"))
    return error


def _seconds(text: str | None) -> float | None:
    try:
        return min(float(text), LARGEST_RETRY_AFTER) if text else None
    except ValueError:
        return None


def _had_no_effect(error: ServerGone) -> bool:
    """True when the request certainly had no effect: too many requests, or the connection was refused."""
    return error.status == 429 or isinstance(error.__cause__, aiohttp.ClientConnectorError)


def _object(data: bytes) -> Object:
    value: Object = orjson.loads(data)
    return value


def _event(what: str, line: bytes) -> Object:
    """An interrupted watch may end in the middle of an event, and proxies may write error pages into it."""
    try:
        event = _object(line)
        if event["type"] != "ERROR":
            event["object"]["metadata"]["resourceVersion"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ServerGone(what, 0, {"message": f"the stream contains something that is not an event: {line[:200]!r}"}) from error
    return event


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines of any length (aiohttp's own reader fails on long lines)."""
    rest = bytearray()
    async for chunk in response.content.iter_any():
        rest += chunk
        if b"\n" in chunk:
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            for line in lines:
                if line:
                    yield line
