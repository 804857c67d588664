"""The server's life cycle: listen, load, serve, drain, exit."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from finetune_api.exit_codes import ExitCode
from finetune_api.result import TERMINATION_LOG
from finetune_server.http.admission import Admission
from finetune_server.http.app import create_app
from finetune_server.http.connection import Connections
from finetune_server.lifecycle import Lifecycle
from finetune_server.model_directory import UnusableModel
from finetune_server.models.load import load_model
from finetune_server.models.served_model import AnyModel
from finetune_server.settings import Settings

log = logging.getLogger(__name__)

KEEP_ALIVE = 65
"""Seconds an idle connection stays open: longer than the usual proxy's 60, so that the proxy closes first."""
CLOSING_SECONDS = 1
"""For responses that are aborted at the end of the grace period to close their connections."""

Result = TypeVar("Result")


class SignalFreeServer(uvicorn.Server):
    """uvicorn stops listening at the first SIGTERM; here the drain decides when."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled in `serve`."""
        yield


async def serve(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT, or until the model cannot be loaded; returns the exit code."""
    try:
        listening = listen(settings)
    except OSError as error:
        address = f"{settings.host}:{settings.port}"
        return give_up(f"cannot listen on {address}: {error.strerror}; choose another --port", ExitCode.INTERNAL_ERROR)
    lifecycle = Lifecycle()
    server = http_server(lifecycle, settings)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop_signal())
    try:
        return await run(lifecycle, settings, stopping)
    finally:
        server.should_exit = True
        await serving
        if lifecycle.model is not None:
            lifecycle.model.engine.close()


async def run(lifecycle: Lifecycle, settings: Settings, stopping: asyncio.Task[None]) -> int:
    """Loads, serves and drains; returns the exit code."""
    log.info(
        "loading", extra={"fields": {"model_dir": str(settings.model_dir), "engine": settings.engine, "precision": settings.precision}}
    )
    loading = in_daemon_thread(lambda: load_model(settings))
    waited_for: set[asyncio.Future[Any]] = {loading, stopping}
    await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        return ExitCode.OK
    try:
        lifecycle.model = loading.result()
    except UnusableModel as error:
        return give_up(str(error), ExitCode.INVALID_INPUT)
    except Exception as error:
        log.exception("the model cannot be loaded")
        return give_up(f"{settings.model_dir} cannot be loaded: {type(error).__name__}: {error}", ExitCode.INTERNAL_ERROR)
    log.info("ready", extra={"fields": described(lifecycle.model, settings)})
    await stopping
    log.info("draining", extra={"fields": {"in_flight": lifecycle.in_flight}})
    if not await lifecycle.drain(quiet=settings.drain_quiet, limit=settings.drain_limit, grace=settings.grace):
        log.warning("grace period is over, aborting responses", extra={"fields": {"in_flight": lifecycle.in_flight}})
    return ExitCode.OK


def http_server(lifecycle: Lifecycle, settings: Settings) -> SignalFreeServer:
    """The HTTP server, not yet started."""
    return SignalFreeServer(
        uvicorn.Config(
            create_app(lifecycle, Admission(max_body=settings.max_body, client_timeout=settings.client_timeout), settings.api_key),
            http=Connections(settings.client_timeout).protocol(),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=CLOSING_SECONDS,
        )
    )


def listen(settings: Settings) -> socket.socket:
    """The listening socket; IPv6 if the host is an IPv6 address. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=1024)


async def stop_signal() -> None:
    """Returns at the first SIGTERM or SIGINT."""
    received = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received.set)
    await received.wait()


def in_daemon_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """The work's result. Unlike an executor's thread, a daemon thread does not keep the program from exiting while a model loads."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def call(method: Callable[..., None], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so the result is not needed any more
            loop.call_soon_threadsafe(method, value)

    def target() -> None:
        try:
            call(future.set_result, work())
        except Exception as error:
            call(future.set_exception, error)

    threading.Thread(target=target, name="load-model", daemon=True).start()
    return future


def give_up(message: str, code: ExitCode) -> int:
    """Writes the reason to the log and, in a pod, to the termination message; returns the exit code."""
    log.error(message)
    if Path(TERMINATION_LOG).is_file():
        Path(TERMINATION_LOG).write_text(message)
    return code


def described(model: AnyModel, settings: Settings) -> dict[str, object]:
    """Fields of the log line of a model that is ready."""
    return {
        "model": model.name,
        "task": model.task,
        "engine": settings.engine,
        "precision": settings.precision,
        "context_length": model.engine.context_length,
        "max_concurrency": settings.max_concurrency,
        "threads": settings.threads,
        "fingerprint": model.fingerprint,
    }
