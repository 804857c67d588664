"""Requests to an HTTP server with prepared responses."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration
from yarl import URL

from finetune_operator.client import api as api_module
from finetune_operator.client.api import Api
from finetune_operator.client.connection import Connection
from finetune_operator.client.errors import AlreadyExists, ApiError, Conflict, Expired, Forbidden, Invalid, NotFound, ServerGone

pytestmark = pytest.mark.unit

JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "a"}}
Answer = web.Response | Callable[[web.Request], Any]


class Server:
    """Sends the responses in order, and repeats the last one; records the requests."""

    url = ""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any path, any method."""
        self.asked.append((request.method, request.path_qs, dict(request.headers)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            response: web.StreamResponse = await answer(request)
            return response
        return answer


def answer(status: int = 200, body: Any = None, **headers: str) -> Callable[[web.Request], Any]:
    """A JSON response, created for each request."""

    async def respond(_: web.Request) -> web.Response:
        return web.json_response(body if body is not None else {}, status=status, headers=headers)

    return respond


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    state = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", state.handle)
    async with TestServer(app) as running:
        state.url = str(running.make_url("")).rstrip("/")
        yield state


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    configuration = Configuration(host=server.url, api_key={"BearerToken": "Bearer secret"})
    async with Api(Connection(configuration, False)) as api:
        yield api


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "BadRequest", Invalid),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Expired),
        (422, "Invalid", Invalid),
        (418, "Teapot", ApiError),
    ],
)
async def test_errors(server: Server, api: Api, status: int, reason: str, expected: type[ApiError]) -> None:
    """Each status has its type; the message names the request and repeats the server's words; nothing is tried twice."""
    server.answers = [answer(status, {"kind": "Status", "reason": reason, "message": "its words"})]
    with pytest.raises(expected, match=r"GET /x: .* its words") as caught:
        await api.get("/x")
    assert type(caught.value) is expected
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("method", "status", "requests"),
    [
        ("get", 503, 2),
        ("get", 500, 2),
        ("get", 429, 2),
        ("create", 429, 2),
        ("create", 503, 1),
        ("create", 500, 1),
        ("apply", 504, 1),
    ],
)
async def test_what_is_repeated(server: Server, api: Api, method: str, status: int, requests: int) -> None:
    """Reads after any "not now"; writes only when the server says that it has not even looked."""
    server.answers = [answer(status, {"message": "not now"}), answer(200, JOB)]
    call = {"get": api.get("/x"), "create": api.create(JOB), "apply": api.apply(JOB)}
    wanted = call.pop(method)
    for other in call.values():
        other.close()
    if requests == 2:
        assert await wanted == JOB
    else:
        with pytest.raises(ServerGone):
            await wanted
    assert len(server.asked) == requests


async def test_repetition_has_an_end(server: Server, api: Api) -> None:
    """Four tries; a response that is not JSON is quoted."""
    api.retry_delay = 0.0

    async def gateway(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>")

    server.answers = [gateway]
    with pytest.raises(ServerGone, match="bad gateway"):
        await api.get("/x")
    assert len(server.asked) == 4


async def test_nobody_listens() -> None:
    """A refused connection is a ServerGone that names the request."""
    async with Api(Connection(Configuration(host="http://127.0.0.1:9"), False)) as api:
        with pytest.raises(ServerGone, match=r"GET /x.*no response"):
            await api.text("/x", {}, 3)


async def test_writes_pass_the_fence(server: Server, api: Api) -> None:
    """What must not write is stopped before anything is sent; reading is free."""

    def closed() -> None:
        raise PermissionError

    api.before_write = closed
    server.answers = [answer(200, JOB)]
    for write in (api.create(JOB), api.apply(JOB)):
        with pytest.raises(PermissionError):
            await write
    assert await api.get("/x") == JOB
    assert [method for method, _, _ in server.asked] == ["GET"]


async def test_requests_are_authenticated(server: Server, api: Api) -> None:
    """By the token; server-side apply names the field manager and takes over."""
    server.answers = [answer(200, JOB)]
    await api.apply(JOB)
    method, path, headers = server.asked[0]
    assert (method, path) == ("PATCH", "/apis/batch/v1/namespaces/a/jobs/j?fieldManager=finetune-operator&force=true")
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer secret", "application/apply-patch+yaml")


async def test_pages(server: Server, api: Api) -> None:
    """Until there is no continue token."""
    server.answers = [
        answer(200, {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [{"n": 1}, {"n": 2}]}),
        answer(200, {"metadata": {"resourceVersion": "7"}, "items": [{"n": 3}]}),
    ]
    assert [page async for page in api.pages("/x", {"labelSelector": "a=b"})] == [([{"n": 1}, {"n": 2}], 7), ([{"n": 3}], 7)]
    assert [path for _, path, _ in server.asked] == ["/x?labelSelector=a%3Db&limit=20", "/x?labelSelector=a%3Db&limit=160&continue=more"]


@pytest.mark.parametrize(
    ("size", "limits"), [(100, ["20", "160", "500", "500"]), (1 << 14, ["20", "3", "3", "3"]), (9 << 14, ["20", "1", "1", "1"])]
)
async def test_pages_are_as_long_as_their_objects_are_small(
    server: Server, api: Api, monkeypatch: pytest.MonkeyPatch, size: int, limits: list[str]
) -> None:
    """A page has so many bytes, regardless of the size of the objects."""
    monkeypatch.setattr(api_module, "PAGE_BYTES", 1 << 16)

    async def page(request: web.Request) -> web.Response:
        items = [{"x": "y" * size}] * min(20, int(request.query["limit"]))
        more = "more" if len(server.asked) < 4 else ""
        return web.json_response({"metadata": {"resourceVersion": "7", "continue": more}, "items": items})

    server.answers = [page]
    async for _ in api.pages("/x", {}):
        pass
    assert [URL(path).query["limit"] for _, path, _ in server.asked] == limits


async def test_a_watch(server: Server, api: Api) -> None:
    """Lines of any length, torn anywhere; an ERROR event ends it with the error's type."""
    long = b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"8"},"x":"' + b"y" * 300_000 + b'"}}\n'

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (long[:100], long[100:] + b'{"type":"ERR', b'OR","object":{"code":410,"reason":"Expired","message":"too old"}}\n'):
            await response.write(part)
        return response

    server.answers = [stream]
    seen = []
    with pytest.raises(Expired, match="too old"):
        async for event in api.watch("/x", {}, 7):
            seen.append(event["type"])
    assert seen == ["ADDED"]
