"""What every API request passes: API key, drain, admission, and in the end metrics and the log line."""

import hashlib
import hmac
import logging
import time
import uuid
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finetune_server.http.admission import Admission, Entry, too_large
from finetune_server.http.errors import CLIENT_CLOSED_REQUEST, RETRY_AFTER, ApiError
from finetune_server.lifecycle import Lifecycle
from finetune_server.metrics import Metrics
from finetune_server.models.served_model import ServedModel

log = logging.getLogger(__name__)

API_PREFIX = "/v1/"
ENDPOINTS = {
    "/v1/chat/completions": "chat.completions",
    "/v1/classify": "classify",
    "/v1/embeddings": "embeddings",
    "/v1/completions": "completions",
    "/v1/models": "models",
    "/v1/token-classify": "token_classify",
}
"""Paths and their names in metrics; all others are "other"."""
BODY_ENDPOINTS = ENDPOINTS.keys() - {"/v1/models"}
SHOWN_PATH = 100


@dataclass
class Exchange:
    """One request and its outcome."""

    id: str
    started: float
    status: int = 500
    complete: bool = False
    """The response was sent completely."""


class Gate:
    """ASGI middleware around the API; probes and metrics bypass it."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, admission: Admission, metrics: Metrics, api_key: str | None) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._admission = admission
        self._metrics = metrics
        self._key_digest = digest(api_key) if api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers refused requests itself and passes the others on."""
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
        scope.setdefault("state", {})
        try:
            self._check(Headers(scope=scope))
            if scope["method"] == "POST" and scope["path"] in BODY_ENDPOINTS and self._lifecycle.model is not None:
                await self._enter(self._lifecycle.model, scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except ApiError as refusal:
            await refusal.response()(scope, receive, send)
        except ClientDisconnect:
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)

    async def _enter(self, model: ServedModel, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body, if there is room for the request, and passes both on. The entry ends once the request is in the engine."""
        if int(Headers(scope=scope).get("content-length", "0") or 0) > (limit := self._admission.body_limit(model)):
            raise too_large(limit)
        entry = scope["state"]["entry"] = Entry(self._admission, model)
        try:
            await self._app(scope, replayed([await entry.body(receive)], receive), send)
        finally:
            entry.leave()

    def _check(self, headers: Headers) -> None:
        """Raises ApiError for a wrong key, and if the server is stopping."""
        if self._key_digest is not None and not hmac.compare_digest(digest(bearer_key(headers)), self._key_digest):
            message = "Incorrect or missing API key. Send it as the header 'Authorization: Bearer <key>'."
            raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        if self._lifecycle.refusing:
            raise ApiError(503, "This server is stopping. Please retry.", code="service_unavailable", headers=RETRY_AFTER)

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
    """The key that the client sent, or an empty string."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def digest(key: str) -> bytes:
    """Keys are compared by digests of equal length, in constant time."""
    return hashlib.sha256(key.encode()).digest()


def replayed(body: list[bytes], receive: Receive) -> Receive:
    """Returns the body once without keeping it, and then what the client sends next."""

    async def replaying() -> Message:
        return {"type": "http.request", "body": body.pop(), "more_body": False} if body else await receive()

    return replaying
