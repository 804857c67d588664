"""Repositories of the Hugging Face Hub, through huggingface_hub's file system.

The stage image is offline for that library (HF_HUB_OFFLINE), so that nothing in a stage fetches by itself what the spec does
not name. Only while a repository named by the spec is asked does the library get a client that goes online.
"""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.guard import Guard, Hops, check_endpoint
from finetune_trainer.sources.keys import Keys
from finetune_trainer.sources.store import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, Store, StoreEntry
from finetune_trainer.sources.subject import NEARBY, Subject

DATA_FILES = (".jsonl", ".json", ".csv", ".parquet", ".arrow")
COMPRESSED = ("", ".gz", ".zst")
SERVER_FAILED = (408, 429, 500, 502, 503, 504)
RETRY_SECONDS = 1.0
"""Before the second attempt; twice as long before each further one."""


class Hub(Store):
    """One repository at one commit: a branch that moves meanwhile does not mix two versions."""

    def __init__(self, uri: str, keys: Keys, subject: Subject, guard: Guard) -> None:
        from huggingface_hub import HfFileSystem, constants, parse_hf_uri
        from huggingface_hub.errors import HfUriError
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        try:
            self.address = parse_hf_uri(uri)
        except HfUriError as exc:
            raise subject.unusable(f"this is not an address on the Hub: {exc.msg}") from exc
        self.key = self.address.path_in_repo.strip("/")
        self.root_words = f"the {self.address.type} repository {self.address.id}"
        self.subject = subject
        self.token = keys.get("HF_TOKEN")
        endpoint = keys.get("HF_ENDPOINT")
        self.where = (endpoint or constants.ENDPOINT).rstrip("/")
        check_endpoint(self.where, subject)
        self.hops = Hops(urlsplit(self.where).hostname or "", guard)
        self.fs = HfFileSystem(endpoint=self.where, token=self.token, skip_instance_cache=True)

    @cached_property
    def root(self) -> str:  # type: ignore[override]  # it takes a request to know the commit
        """See Store."""
        address = self.address
        with self.failures():
            info = self.fs._api.repo_info(address.id, repo_type=address.type, revision=address.revision, timeout=READ_SECONDS)
        return f"{address.type}s/{address.id}@{info.sha}"

    def version(self, entry: StoreEntry) -> str:
        """See Store: git's name of the content."""
        return str(entry.get("blob_id") or "")

    def path(self, key: str) -> str:
        """See Store. The file system calls models by their bare name."""
        return super().path(key).removeprefix("models/")

    def read(self, key: str, offset: int, length: int) -> bytes:
        """See Store: without reading ahead."""
        with self.failures():
            return bytes(self.fs.cat_file(self.path(key), start=offset, end=offset + length, cache_type="none"))

    def copy(self, path: str, partial: Path, on_bytes: Callable[[int], None]) -> None:
        """See Store."""
        with Counting(partial, on_bytes) as file:
            self.fs.get_file(path, outfile=file)

    def missing(self) -> StageFailure:
        """See Store; without a path the repository's data files are named."""
        if self.key:
            return super().missing()
        _ = self.root
        with self.failures():
            files = self.fs._api.list_repo_files(self.address.id, repo_type=self.address.type, revision=self.root.rpartition("@")[2])
        data = [name for name in files if name.endswith(tuple(kind + packed for kind in DATA_FILES for packed in COMPRESSED))]
        shown = ", ".join(data[:NEARBY]) + (f" and {len(data) - NEARBY} more" if len(data) > NEARBY else "")
        return self.subject.not_found(
            f"this is a repository, but a file in it is required: write {self.subject.name.rstrip('/')}/PATH; "
            + (f"its data files are {shown}" if data else f"it has none of {', '.join(DATA_FILES)}")
        )

    def explain(self, exc: Exception) -> StageFailure:
        """See Store."""
        import httpx2
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

        if isinstance(exc, GatedRepoError):
            return self.subject.denied(f"{self.address.id} is gated: accept its conditions at {self.where}/{self.page} and {self.bring()}")
        if isinstance(exc, RepositoryNotFoundError):
            why = "or its token may not read it: check HF_TOKEN" if self.token else f"or it is private: {self.bring()}"
            return self.subject.not_found(f"there is no {self.address.type} repository {self.address.id} at {self.where}, {why}")
        if isinstance(exc, RevisionNotFoundError):
            return self.subject.not_found(f"the repository {self.address.id} has no revision {self.address.revision}")
        if isinstance(exc, Unanswered | httpx2.TransportError):
            return self.unavailable(exc)
        status = exc.response.status_code if isinstance(exc, HfHubHTTPError) else 0
        if status in (401, 403):
            why = "the token in the Secret is not known to the Hub, or may not read it: check HF_TOKEN" if self.token else self.bring()
            return self.subject.denied(f"{self.where} answered {status}: {why}")
        if status in SERVER_FAILED:
            return self.subject.unavailable(f"{self.where} answered {status}")
        if status == 404:
            return self.subject.not_found("object not found")
        return self.subject.unusable(f"{self.where} answered {status or 'with an error'}: {str(exc).partition(chr(10))[0]}")

    @property
    def page(self) -> str:
        """Path of the repository's page."""
        return ("" if self.address.type == "model" else f"{self.address.type}s/") + self.address.id

    def bring(self) -> str:
        """What to do where a token is needed."""
        return "name a Secret with HF_TOKEN in credentials.secretRef"

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """See Store; the library is online meanwhile."""
        with super().failures(), online(self.hops):
            yield


class Counting(io.BufferedWriter):
    """A file that tells how much is written to it."""

    def __init__(self, path: Path, on_bytes: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path, "w"))
        self.on_bytes = on_bytes

    def write(self, data: Any) -> int:
        """As of any file."""
        count = super().write(data)
        self.on_bytes(count)
        return count


class Unanswered(Exception):
    """Every attempt failed. Not one of the exceptions that huggingface_hub tries again after."""


@contextlib.contextmanager
def online(hops: Hops) -> Iterator[None]:
    """Gives huggingface_hub a client that goes online, tries again a bounded number of times, and uses no proxy of the environment."""
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    class Bounded(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            hops.check(str(request.url))  # of a redirect, too: each hop is a request of its own
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    response = super().handle_request(request)
                    if response.status_code not in SERVER_FAILED:
                        return response
                    failure: Exception = Unanswered(f"answered {response.status_code}")
                    response.close()
                except httpx2.TransportError as exc:
                    failure = exc
                if attempt < ATTEMPTS:
                    time.sleep(RETRY_SECONDS * 2 ** (attempt - 1))
            raise Unanswered(str(failure) or type(failure).__name__) from failure

    timeout = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    before = _http._GLOBAL_CLIENT_FACTORY
    set_client_factory(lambda: httpx2.Client(transport=Bounded(), follow_redirects=True, timeout=timeout, trust_env=False))
    try:
        yield
    finally:
        set_client_factory(before)
