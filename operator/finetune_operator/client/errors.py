"""Errors of requests to the API server, as types. api.py raises them."""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An error response of the API server: the request, followed by the message of the server."""

    def __init__(self, request: str, status: int, body: Mapping[str, Any] | None = None) -> None:
        body = body or {}
        self.request = request
        """Method and path: "POST /apis/batch/v1/namespaces/a/jobs"."""
        self.status = status
        self.reason = str(body.get("reason") or "")
        self.message = str(body.get("message") or f"the API server returned status {status}")
        super().__init__(f"{request}: {status} {self.reason}: {self.message}")


class NotFound(ApiError):
    """404: the object, or its kind, does not exist."""


class Conflict(ApiError):
    """409: the object has changed, or was replaced by another one (resourceVersion, uid)."""


class AlreadyExists(ApiError):
    """409: an object with that name exists."""


class Forbidden(ApiError):
    """403: forbidden by RBAC, a quota or an admission policy; the message says which."""


class Unauthorized(ApiError):
    """401: the token is invalid or has expired."""


class Invalid(ApiError):
    """400 or 422: the object is invalid; the message names the field."""


class Expired(ApiError):
    """410: the resourceVersion of a watch or of a page is too old; list again."""


class ServerGone(ApiError):
    """No response, or a temporary error (429, 5xx). The request may or may not have taken effect."""

    retry_after: float | None = None
    """Seconds, from the Retry-After header."""


class NotOurs(Exception):
    """An object with the needed name exists and has another owner."""

    def __init__(self, kind: str, namespace: str, name: str, owner: str) -> None:
        self.kind, self.namespace, self.name = kind, namespace, name
        super().__init__(f"{kind} {namespace}/{name} exists and belongs to {owner}: delete it or choose another name")


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid, 401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 410: Expired, 422: Invalid, 429: ServerGone,
}  # fmt: skip


def error_of(request: str, status: int, body: Mapping[str, Any] | None) -> ApiError:
    """The typed error of a response with status 400 or more."""
    if status == 409 and body and body.get("reason") == "AlreadyExists":
        return AlreadyExists(request, status, body)
    return _BY_STATUS.get(status, ServerGone if status >= 500 else ApiError)(request, status, body)
