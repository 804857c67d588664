"""Logs as JSON lines on standard error, each with the key and the generation of the object that is being reconciled."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_CONTEXT: ContextVar[dict[str, Any]] = ContextVar("log context", default={})  # noqa: B039  never changed in place


class JsonFormatter(logging.Formatter):
    """{"time", "level", "logger", "message"} and the context."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback is one string in it."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_CONTEXT.get(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Adds fields to every line that is logged in the block, by this task."""
    token = _CONTEXT.set({**_CONTEXT.get(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def configure(level: str) -> None:
    """Sets the level of our own loggers; libraries log from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("finetune_operator").setLevel(level)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it warns that it does not handle signals, which is intended
