"""What every API request passes first and last: the key, the drain, the size limit, the metrics and the log line."""

import hashlib
import hmac
import logging
import time
import uuid
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finetune_server.http.errors import CLIENT_CLOSED_REQUEST, RETRY_AFTER, ApiError
from finetune_server.lifecycle import Lifecycle
from finetune_server.metrics import Metrics

log = logging.getLogger(__name__)

API_PREFIX = "/v1/"
ENDPOINTS = {
    "/v1/chat/completions": "chat.completions",
    "/v1/classify": "classify",
    "/v1/completions": "completions",
    "/v1/models": "models",
    "/v1/token-classify": "token_classify",
}
"""Paths and what metrics call them; any other one is "other"."""
MAX_BODY = 8 * 1024 * 1024
SHOWN_PATH = 100


@dataclass
class Exchange:
    """One request and what became of it."""

    id: str
    started: float
    status: int = 500
    complete: bool = False
    """The response was sent to its end."""


class Gate:
    """ASGI middleware around the API; probes and metrics pass by it."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, metrics: Metrics, api_key: str | None) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._key_digest = digest(api_key) if api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a refused request itself and hands on the others."""
        if scope["type"] != "http" or not scope["path"].startswith(API_PREFIX):
            await self._app(scope, receive, send)
            return
        exchange = Exchange(f"req_{uuid.uuid4().hex}", time.monotonic())
        self._lifecycle.request_started()
        try:
            await self._answer(scope, receive, self._watched(exchange, send))
        finally:
            self._lifecycle.request_ended()
            self._account(scope, exchange)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Headers(scope=scope))
        if refusal is not None:
            await refusal.response()(scope, receive, send)
        else:
            scope.setdefault("state", {})
            await self._app(scope, limited(receive), send)

    def _refusal(self, headers: Headers) -> ApiError | None:
        if self._key_digest is not None and not hmac.compare_digest(digest(bearer_key(headers)), self._key_digest):
            message = "Incorrect or missing API key. Send it as the header 'Authorization: Bearer <key>'."
            return ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        if self._lifecycle.refusing:
            return ApiError(503, "This server is stopping. Please retry.", code="service_unavailable", headers=RETRY_AFTER)
        if int(headers.get("content-length", "0") or 0) > MAX_BODY:
            return too_large()
        return None

    def _watched(self, exchange: Exchange, send: Send) -> Send:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = exchange.id
                if self._lifecycle.draining:
                    headers["Connection"] = "close"
            elif message["type"] == "http.response.body":
                exchange.complete = not message.get("more_body", False)
            await send(message)

        return watched

    def _account(self, scope: Scope, exchange: Exchange) -> None:
        status = exchange.status if exchange.complete or exchange.status >= 500 else CLIENT_CLOSED_REQUEST
        seconds = time.monotonic() - exchange.started
        endpoint = ENDPOINTS.get(scope["path"], "other")
        self._metrics.requests.labels(endpoint, str(status)).inc()
        self._metrics.request_seconds.labels(endpoint).observe(seconds)
        usage = scope.get("state", {}).get("usage", {})
        fields = {
            "request": exchange.id,
            "method": scope["method"],
            "path": scope["path"][:SHOWN_PATH],
            "status": status,
            "seconds": round(seconds, 3),
            **{name: usage[name] for name in ("prompt_tokens", "completion_tokens") if name in usage},
        }
        log.info("request", extra={"fields": fields})


def bearer_key(headers: Headers) -> str:
    """The key that the client sent, or an empty text."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def digest(key: str) -> bytes:
    """Keys are compared by digests of one length, in constant time."""
    return hashlib.sha256(key.encode()).digest()


def limited(receive: Receive) -> Receive:
    """Ends a body that comes without a length and grows over the limit."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY:
            raise too_large()
        return message

    return counted


def too_large() -> ApiError:
    """413."""
    return ApiError(413, f"The request's body is larger than {MAX_BODY} bytes.", code="request_too_large")
