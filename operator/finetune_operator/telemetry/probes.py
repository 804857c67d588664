"""/metrics, /healthz and /readyz on one port. What readiness means is decided by the caller."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest

from finetune_operator.telemetry.metrics import REGISTRY


async def serve(port: int, ready: Callable[[], bool]) -> web.AppRunner:
    """Starts the server; /healthz responds as long as the event loop runs. Stop it with `cleanup`."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if ready() else web.Response(text="not ready\n", status=503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
