"""S3 and what speaks its protocol, through s3fs."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.guard import Guard, Hops, check_endpoint
from finetune_trainer.sources.keys import Keys
from finetune_trainer.sources.store import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, Store
from finetune_trainer.sources.subject import Subject

ROUNDS = 2
"""Of a request's attempts, which botocore makes, by s3fs."""

_SERVER_FAILED = ("500", "503", "InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout")


class S3(Store):
    """One bucket."""

    def __init__(self, uri: str, keys: Keys, subject: Subject, guard: Guard) -> None:
        self.root, _, key = uri.removeprefix("s3://").partition("/")
        self.key = key.strip("/")
        self.root_words = f"the bucket {self.root}"
        self.subject = subject
        endpoint = keys.get("AWS_ENDPOINT_URL")
        self.where = endpoint or "Amazon S3"
        check_endpoint(self.where, subject)
        self.fs = connect(keys, endpoint, Hops(urlsplit(endpoint or "").hostname or "", guard))

    def size(self, key: str) -> int | None:
        """See Store."""
        with self.failures():
            try:
                return super().size(key)
            except StageFailure as failure:
                if failure.error.code != "AccessDenied" or s3_code(failure) != "403":
                    raise
            self.fs.cat_file(self.path(key), start=0, end=1)  # HEAD has no body to say why; GET has
        raise self.subject.denied(f"{self.where} answered 403 Forbidden")

    def put(self, path: Path, key: str) -> None:
        """See Store: at most two parts of 50 MiB are in memory."""
        self.fs.put_file(str(path), self.path(key), max_concurrency=2)

    def explain(self, exc: Exception) -> StageFailure:
        """See Store."""
        from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

        code = s3_code(exc)
        if isinstance(exc, (NoCredentialsError, PartialCredentialsError)):
            return self.subject.denied(
                "no credentials found: credentials.secretRef must name a Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if isinstance(exc, PermissionError) or code in ("401", "Unauthorized"):
            return self.subject.denied(f"{self.where} answered {code or 403}: {why_denied(code, str(exc), self.subject.access)}")
        if isinstance(exc, BotoCoreError):
            return self.unavailable(exc)
        if code in _SERVER_FAILED:
            return self.subject.unavailable(f"{self.where} answered {code}: {exc}")
        return self.subject.unusable(f"{self.where} answered {code or 'with an error'}: {exc}")


def connect(keys: Keys, endpoint: str | None, hops: Hops) -> Any:
    """An s3fs file system with the Secret's keys; without them botocore's own chain (roles) decides."""
    import s3fs  # imports botocore and aiohttp, half a second that a local job does not pay

    own_server = endpoint is not None and not (urlsplit(endpoint).hostname or "").endswith(".amazonaws.com")
    files = s3fs.S3FileSystem(
        key=keys.get("AWS_ACCESS_KEY_ID"),
        secret=keys.get("AWS_SECRET_ACCESS_KEY"),
        token=keys.get("AWS_SESSION_TOKEN"),
        endpoint_url=endpoint,
        client_kwargs={"region_name": keys.get("AWS_REGION") or "us-east-1"},
        config_kwargs={
            "http_session_cls": session_class(hops),
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
            # bucket.host needs a DNS entry for each bucket, which servers other than Amazon's rarely have
            "s3": {"addressing_style": "path" if own_server else "auto"},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    files.retries = ROUNDS
    return files


def session_class(hops: Hops) -> Any:
    """aiobotocore's HTTP session, which follows redirects by itself: each server is checked before it is connected to."""
    from aiobotocore.httpsession import AIOHTTPSession

    class Checked(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
        async def _create_connector(self, proxy_url: str | None) -> Any:
            connector = await super()._create_connector(proxy_url)
            connect = connector.connect

            async def checked(request: Any, *arguments: Any, **named: Any) -> Any:
                hops.check(str(request.url))
                return await connect(request, *arguments, **named)

            connector.connect = checked
            return connector

    return Checked


def s3_code(exc: BaseException) -> str:
    """S3's own error code ("NoSuchBucket") behind an exception of s3fs, or ""."""
    following: BaseException | None = exc
    while following is not None:
        response = getattr(following, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        following = following.__cause__ or following.__context__
    return ""


def why_denied(code: str, text: str, access: str) -> str:
    """What to do about a refusal of `access` ("read"), by S3's error code."""
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"):
        return "the key in the Secret is not known to the server: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if code == "ExpiredToken":
        return "AWS_SESSION_TOKEN has expired: put a new one into the Secret"
    if code in ("401", "403", "AccessDenied"):
        return f"these keys may not {access} it (a server that hides what exists answers the same for a name that is not there)"
    return text
