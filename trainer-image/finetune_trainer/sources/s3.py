"""S3 and what speaks its protocol, through s3fs. Retries are bounded: a source that is away ends the attempt in two minutes."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from finetune_trainer.files import sync_directory
from finetune_trainer.sources.folder import Stored
from finetune_trainer.sources.subject import Subject

CONNECT_SECONDS = 5
READ_SECONDS = 20
ATTEMPTS = 3
"""Of each request, by botocore, with its growing waits between them."""
ROUNDS = 2
"""Of these attempts, by s3fs."""

_LOCAL_FULL = (errno.ENOSPC, errno.EDQUOT)
_SERVER_FAILED = ("500", "503", "InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout")


class S3:
    """One bucket, seen with one set of keys."""

    def __init__(self, uri: str, env_prefix: str, subject: Subject) -> None:
        self.bucket, self.key = parse(uri)
        self.subject = subject
        self.endpoint = os.environ.get(env_prefix + "AWS_ENDPOINT_URL") or None
        self.fs = connect(env_prefix, self.endpoint)

    def size(self, key: str) -> int | None:
        """Bytes of an object, or None when there is no such object."""
        with self.failures():
            try:
                info = self.fs.info(f"{self.bucket}/{key}")
            except FileNotFoundError as exc:
                if s3_code(exc) == "NoSuchBucket":
                    raise
                return None
            except PermissionError:
                self.fs.cat_file(f"{self.bucket}/{key}", start=0, end=1)  # HEAD has no body to say why; GET has
                raise
        return int(info["size"]) if info["type"] == "file" else None

    def list(self, folder: str) -> dict[str, dict[str, Any]]:
        """Name -> s3fs's info of what lies directly below a prefix; empty when nothing does."""
        path = f"{self.bucket}/{folder.strip('/')}".rstrip("/")
        with self.failures():
            try:
                entries = self.fs.ls(path, detail=True)
            except FileNotFoundError as exc:
                if s3_code(exc) == "NoSuchBucket":
                    raise
                return {}
        below = {entry["name"].removeprefix(path).strip("/"): entry for entry in entries if entry["name"].rstrip("/") != path}
        return {name: entry for name, entry in below.items() if name}

    def read(self, key: str, offset: int, length: int) -> bytes:
        """A range of an object."""
        with self.failures():
            return bytes(self.fs.cat_file(f"{self.bucket}/{key}", start=offset, end=offset + length))

    def download(self, key: str, target: Path, on_bytes: Callable[[int], None]) -> None:
        """Copies an object to `target` by way of a partial file beside it."""
        from fsspec.callbacks import Callback

        class Count(Callback):  # type: ignore[misc]  # fsspec has no types
            def relative_update(self, inc: int = 1) -> None:
                on_bytes(inc)

        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        with self.failures():
            self.fs.get_file(f"{self.bucket}/{key}", str(partial), callback=Count())
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
        sync_directory(target.parent)

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """Turns what s3fs raises into words about this source."""
        from aiohttp import ClientError
        from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

        where = self.endpoint or "Amazon S3"
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as exc:
            raise self.subject.denied(
                "there are no credentials for it: name a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in credentials.secretRef"
            ) from exc
        except FileNotFoundError as exc:
            what = f"there is no bucket {self.bucket} at {where}" if s3_code(exc) == "NoSuchBucket" else "there is no such object"
            raise self.subject.not_found(what) from exc
        except PermissionError as exc:
            raise self.subject.denied(f"{where} answered {s3_code(exc) or 403}: {why_denied(s3_code(exc), str(exc))}") from exc
        except (BotoCoreError, ClientError, TimeoutError, ConnectionError) as exc:
            raise self.subject.unavailable(f"{where}: {exc}") from exc
        except OSError as exc:
            if exc.errno in _LOCAL_FULL:
                raise
            if s3_code(exc) in _SERVER_FAILED:
                raise self.subject.unavailable(f"{where} answered {s3_code(exc)}: {exc}") from exc
            raise self.subject.unusable(f"{where} answered {s3_code(exc) or 'with an error'}: {exc}") from exc


@dataclass(frozen=True)
class S3Folder:
    """A prefix of a bucket, seen as a folder."""

    s3: S3
    local: Path | None = None

    def files(self) -> dict[str, Stored]:
        """See Folder."""
        entries = self.s3.list(self.s3.key)
        if not entries:
            parent = self.s3.key.strip("/").rpartition("/")[0]
            raise self.s3.subject.not_found("there is no such folder", self.s3.list(parent))
        return {
            name: Stored(int(entry["size"]), str(entry.get("ETag", "")).strip('"'))
            for name, entry in sorted(entries.items())
            if entry["type"] == "file"
        }

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See Folder."""
        return self.s3.read(self.key(name), offset, length)

    def download(self, name: str, target: Path, on_bytes: Callable[[int], None]) -> None:
        """See Folder."""
        self.s3.download(self.key(name), target, on_bytes)

    def key(self, name: str) -> str:
        """Key of a file of the folder, which may be the whole bucket."""
        return f"{self.s3.key}/{name}".lstrip("/")


def parse(uri: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key, without slashes at the key's ends."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key.strip("/")


def connect(env_prefix: str, endpoint: str | None) -> Any:
    """An s3fs file system with the keys from <prefix>AWS_...; without them botocore's own chain (roles) decides."""
    import s3fs  # imports botocore and aiohttp, half a second that a local job does not pay

    def env(name: str) -> str | None:
        return os.environ.get(env_prefix + name) or None

    own_server = endpoint is not None and not (urlsplit(endpoint).hostname or "").endswith(".amazonaws.com")
    files = s3fs.S3FileSystem(
        key=env("AWS_ACCESS_KEY_ID"),
        secret=env("AWS_SECRET_ACCESS_KEY"),
        token=env("AWS_SESSION_TOKEN"),
        endpoint_url=endpoint,
        client_kwargs={"region_name": env("AWS_REGION") or "us-east-1"},
        config_kwargs={
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


def s3_code(exc: BaseException) -> str:
    """S3's own error code ("NoSuchBucket") behind an exception of s3fs, or ""."""
    while exc is not None:
        response = getattr(exc, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        following = exc.__cause__ or exc.__context__
        if following is None:
            break
        exc = following
    return ""


def why_denied(code: str, text: str) -> str:
    """What to do about a refusal, by S3's error code."""
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"):
        return "the key in the Secret is not one that the server knows: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if code == "ExpiredToken":
        return "AWS_SESSION_TOKEN has expired: put a new one into the Secret"
    if code in ("403", "AccessDenied"):
        return "these keys may not read it (a server that hides what exists answers the same for a name that is not there)"
    return text
