"""Priming namespace by namespace, against an HTTP server that answers lists."""

import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from finetune_operator.client.api import Api
from finetune_operator.client.connection import Connection
from finetune_operator.environment import from_environment
from finetune_operator.listen.scope import Scope
from finetune_operator.listen.watches import Watches
from finetune_operator.objects.cache import Cache
from finetune_operator.objects.resources import FINETUNE_JOBS
from finetune_operator.plan.job.plan_job import plan_job
from finetune_operator.process import Operator
from tests.unit.operator.samples import SPEC

pytestmark = pytest.mark.unit

JOB = {"metadata": {"namespace": "team", "name": "tune", "uid": "u", "resourceVersion": "7"}, "spec": SPEC}
STATUS = {"forbidden": 403, "gone": 404}


async def answer(request: web.Request) -> web.Response:
    """Lists of team; an error for the namespaces named after one; no policy is installed."""
    path = request.path
    namespace = path.split("/namespaces/")[1].split("/")[0] if "/namespaces/" in path else "gone"
    if namespace in STATUS:
        return web.json_response({"message": f"no {namespace}"}, status=STATUS[namespace])
    items = [JOB] if path.endswith("/finetunejobs") else []
    return web.json_response({"metadata": {"resourceVersion": "9"}, "items": items})


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Of the server."""
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        configuration = Configuration()
        configuration.host = str(server.make_url("/"))
        yield Connection(configuration, False)


@pytest.mark.parametrize(("namespace", "primed"), [("team", True), ("forbidden", False), ("gone", False)])
async def test_a_namespace_that_cannot_be_listed_stays_unprimed(
    connection: Connection, namespace: str, primed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning that names it, instead of blocking forever."""
    async with Api(connection) as api:
        scope = Scope(api, namespace, Cache(), lambda keys: None, Watches())
        with caplog.at_level(logging.WARNING):
            assert (await scope.prime(), scope.primed) == (primed, primed)
    assert (f"namespace {namespace} is not served" in caplog.text) is not primed


async def test_a_namespace_that_cannot_be_listed_does_not_hold_up_the_others(connection: Connection) -> None:
    """The operator is ready and works in those; nothing is decided in it, though the edge may see its objects."""
    environ = {
        "FINETUNE_TRAINER_IMAGE": "a", "FINETUNE_SERVER_IMAGES": '{"onnx": "b"}', "FINETUNE_LEASE_NAMESPACE": "team",
        "FINETUNE_WATCH_NAMESPACES": "forbidden,team",
    }  # fmt: skip
    plans = dict.fromkeys(("FineTuneJob", "FineTunedModel", "ModelDeployment"), plan_job)
    async with Api(connection) as api:
        operator = Operator(api, connection, from_environment(environ), plans)
        await operator._prime()
        assert (operator._primed, len(operator._queue)) == (True, 1)
        seen = {**JOB, "metadata": {**JOB["metadata"], "namespace": "forbidden", "uid": "v"}}
        operator._seen(FINETUNE_JOBS, seen, False)
        assert len(operator._queue) == 1
        operator._serve("forbidden")
        assert len(operator._queue) == 2
