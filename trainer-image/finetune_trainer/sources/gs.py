"""Google Cloud Storage through gcsfs."""

import json
import logging
from typing import Any
from urllib.parse import urljoin, urlsplit

from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.guard import Guard, Hops, check_endpoint
from finetune_trainer.sources.keys import Keys
from finetune_trainer.sources.store import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, Store, StoreEntry
from finetune_trainer.sources.subject import Subject

KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS_JSON"
_SERVER_FAILED = (408, 429, 500, 502, 503, 504)


class GoogleStorage(Store):
    """One bucket."""

    def __init__(self, uri: str, keys: Keys, subject: Subject, guard: Guard) -> None:
        self.root, _, key = uri.removeprefix("gs://").partition("/")
        self.key = key.strip("/")
        self.root_words = f"the bucket {self.root}"
        self.subject = subject
        endpoint = keys.get("STORAGE_ENDPOINT_URL")
        self.where = endpoint or "Google Cloud Storage"
        check_endpoint(self.where, subject)
        self.has_key = keys.get(KEY_FILE) is not None
        access = "read_only" if subject.access == "read" else "read_write"
        self.fs = connect(token(keys, subject), endpoint, access, Hops(urlsplit(endpoint or "").hostname or "", guard))

    def version(self, entry: StoreEntry) -> str:
        """See Store: every write of an object makes a generation."""
        return str(entry.get("generation") or entry.get("etag") or "")

    def explain(self, exc: Exception) -> StageFailure:
        """See Store."""
        from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
        from requests.exceptions import RequestException

        code = status(exc)
        if code == 401 or isinstance(exc, RefreshError):
            known = f"the key in the Secret is not known to Google: check {KEY_FILE}" if self.has_key else self.no_key()
            return self.subject.denied(f"{self.where} answered 401: {known}")
        if code == 403:
            account = "the account of this key" if self.has_key else "this account, or anybody without one,"
            may, role = ("may not read it", "Viewer") if self.subject.access == "read" else ("may not write it", "User")
            return self.subject.denied(f"{self.where} answered 403: {account} {may}; it needs the role Storage Object {role}")
        if code in _SERVER_FAILED:
            return self.subject.unavailable(f"{self.where} answered {code}")
        if isinstance(exc, (RequestException, TransportError)):
            return self.unavailable(exc)
        if isinstance(exc, GoogleAuthError):
            return self.subject.denied(f"{exc}: check {KEY_FILE}")
        return self.subject.unusable(f"{self.where} answered {code or 'with an error'}: {exc}")

    def no_key(self) -> str:
        """What to do where a key is needed."""
        return f"name a Secret with {KEY_FILE}, the content of a service account's key file, in credentials.secretRef"


def token(keys: Keys, subject: Subject) -> Any:
    """The key file's content; without one, the pod's own identity, and anonymous access if it has none."""
    text = keys.get(KEY_FILE)
    if text is not None:
        try:
            found = json.loads(text)
        except ValueError as exc:
            raise subject.denied(f"{KEY_FILE} in the Secret is not JSON: it must be the content of a service account's key file") from exc
        if not isinstance(found, dict) or not ({"private_key", "client_email"} <= found.keys() or "refresh_token" in found):
            raise subject.denied(f"{KEY_FILE} in the Secret has no private_key and client_email: it must be the content of a key file")
        check_endpoint(str(found.get("token_uri", "")), subject)
        return found
    return "anon" if keys.get("STORAGE_ENDPOINT_URL") or not has_identity() else "google_default"


def has_identity() -> bool:
    """True where the machine or its owner is somebody to Google: workload identity, a key file, gcloud's login."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        google.auth.default()
    except GoogleAuthError:
        return False
    return True


def connect(key: Any, endpoint: str | None, access: str, hops: Hops) -> Any:
    """A gcsfs file system whose retries are bounded."""
    from aiohttp import ClientTimeout
    from gcsfs.core import GCSFileSystem
    from gcsfs.retry import retry_request

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs a traceback of errors that explain() turns into messages

    bounded = retry_request(retries=ATTEMPTS)

    class Bounded(GCSFileSystem):  # type: ignore[misc]  # gcsfs has no types
        _request = bounded(GCSFileSystem._request.__wrapped__)
        _get_file_request = bounded(GCSFileSystem._get_file_request.__wrapped__)
        _get_file_concurrent = GCSFileSystem._get_file_concurrent.__wrapped__  # each of its parts is tried again by itself

    return Bounded(
        token=key,
        access=access,
        endpoint_url=endpoint,
        requests_timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
        session_kwargs={"trace_configs": [redirects(hops)]},
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def redirects(hops: Hops) -> Any:
    """An aiohttp session's ear for redirects, which it follows by itself."""
    from aiohttp import ClientSession, TraceConfig, TraceRequestRedirectParams

    async def check(_: ClientSession, context: object, redirect: TraceRequestRedirectParams) -> None:
        location = redirect.response.headers.get("Location") or redirect.response.headers.get("URI") or ""
        hops.check(urljoin(str(redirect.response.url), location))

    config = TraceConfig()
    config.on_request_redirect.append(check)
    return config


def status(exc: BaseException) -> int:
    """The HTTP status behind an exception of gcsfs, or 0."""
    code = str(getattr(exc, "code", "") or "")
    if code.isdecimal():
        return int(code)
    return 403 if isinstance(exc, OSError) and str(exc).startswith("Forbidden") else 0
