"""Logs as JSON lines on standard error, each with the key of the object that is being reconciled and its generation."""

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
    """Adds fields to every line that is logged inside, in this task."""
    token = _CONTEXT.set({**_CONTEXT.get(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def configure(level: str) -> None:
    """Our lines at `level`; what libraries have to say from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("finetune_operator").setLevel(level)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # that signals are not its own is on purpose
