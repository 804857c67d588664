"""What object stores have in common behind fsspec: named objects in a bucket, a container or a repository.

Knows no scheme: a subclass connects, and says in the user's words what its own exceptions mean.
"""

import contextlib
import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.folder import Stored
from finetune_trainer.sources.subject import Subject
from finetune_trainer.workspace.files import put_in_place

CONNECT_SECONDS = 5
READ_SECONDS = 20
ATTEMPTS = 3
"""Of each request, with growing waits between them: a source that is away ends the attempt in about two minutes."""

LONGEST_NAME = 200
"""Bytes; file systems take 255, of which a partial file's name needs a few."""

StoreEntry = dict[str, Any]
"""fsspec's info of an object or a folder: name, size, type, and what the scheme adds."""

_LOCAL_FULL = (errno.ENOSPC, errno.EDQUOT)


class Store(ABC):
    """One bucket, container or repository, seen with one set of credentials. Methods raise StageFailure in the user's words."""

    fs: Any
    """The fsspec file system."""
    root: str
    """What stands before every key in the file system's paths: the bucket."""
    root_words: str
    """What it is to its user: "the bucket rows"."""
    key: str
    """What the address names in it, without slashes at the ends."""
    where: str
    """The server, for messages."""
    subject: Subject

    @abstractmethod
    def explain(self, exc: Exception) -> StageFailure:
        """What an exception of the file system means, FileNotFoundError aside."""

    def version(self, entry: StoreEntry) -> str:
        """Changes when the object's content does."""
        return str(entry.get("ETag") or entry.get("etag") or "").strip('"')

    def size(self, key: str) -> int | None:
        """Bytes of an object, or None when there is no such object."""
        with self.failures():
            try:
                info = self.fs.info(self.path(key))
            except FileNotFoundError:
                return None
        return int(info["size"]) if info["type"] == "file" else None

    def list(self, folder: str) -> dict[str, StoreEntry]:
        """Name -> entry of what lies directly below a prefix; empty when nothing does."""
        path = self.path(folder)
        with self.failures():
            try:
                entries = self.fs.ls(path, detail=True)
            except FileNotFoundError:
                if not self.root_exists():
                    raise self.subject.not_found(f"there is no {self.root_words.removeprefix('the ')} at {self.where}") from None
                return {}
        below = {entry["name"].removeprefix(path).strip("/"): entry for entry in entries if entry["name"].rstrip("/") != path}
        return {name: entry for name, entry in below.items() if name}

    def root_exists(self) -> bool:
        """False when the bucket itself is what is missing."""
        try:
            self.fs.ls(self.root, detail=True)
        except FileNotFoundError:
            return False
        return True

    def read(self, key: str, offset: int, length: int) -> bytes:
        """A range of an object."""
        with self.failures():
            return bytes(self.fs.cat_file(self.path(key), start=offset, end=offset + length))

    def download(self, key: str, target: Path, on_bytes: Callable[[int], None]) -> None:
        """Copies an object to `target` by way of a partial file beside it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        with self.failures():
            self.copy(self.path(key), partial, on_bytes)
        put_in_place(partial, target)

    def copy(self, path: str, partial: Path, on_bytes: Callable[[int], None]) -> None:
        """The bytes themselves; a source that breaks off raises."""
        callback = arrival(on_bytes)
        self.fs.get_file(path, str(partial), callback=callback)
        on_bytes(partial.stat().st_size - callback.reported)  # the last part of several at a time may not have been reported

    def upload(self, path: Path, key: str) -> None:
        """Writes a file of this machine to an object."""
        with self.failures():
            self.put(path, key)

    def put(self, path: Path, key: str) -> None:
        """The bytes themselves; readers see the whole object or none."""
        self.fs.put_file(str(path), self.path(key))

    def write(self, key: str, content: bytes) -> None:
        """Writes an object."""
        with self.failures():
            self.fs.pipe_file(self.path(key), content)

    def remove(self, key: str) -> None:
        """Removes an object, if it is there."""
        with self.failures(), contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.path(key))

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every object below a prefix, at whatever depth, by its path from there."""
        path = self.path(folder)
        with self.failures():
            try:
                found = self.fs.find(path, detail=True)
            except FileNotFoundError:
                found = {}
        return {name.removeprefix(path).strip("/"): int(entry["size"]) for name, entry in found.items() if entry["type"] == "file"}

    def missing(self) -> StageFailure:
        """There is nothing under the address's key; the names beside it, as far as these credentials may list them."""
        folder, _, name = self.key.rpartition("/")
        try:
            inside = self.list(self.key)
            if inside:
                return self.subject.not_found("this is a folder, but a file is required", (f"{name}/{child}" for child in inside))
            return self.not_found("object not found", folder)
        except StageFailure as failure:
            return self.subject.not_found("object not found") if failure.error.code == "AccessDenied" else failure

    def not_found(self, what: str, folder: str) -> StageFailure:
        """With the names in the folder, or in the first one above it that is there."""
        up, nearby = 0, self.list(folder)
        while not nearby and folder:
            folder = folder.rpartition("/")[0]
            up, nearby = up + 1, self.list(folder)
        return self.subject.not_found(what, nearby, up)

    def path(self, key: str) -> str:
        """The file system's path of a key; of the root for an empty one."""
        return f"{self.root}/{key.strip('/')}".rstrip("/")

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """Turns what the file system raises into words about this source."""
        from aiohttp import ClientError

        try:
            yield
        except StageFailure:
            raise
        except FileNotFoundError as exc:
            raise self.subject.not_found("object not found") from exc
        except (ClientError, TimeoutError, ConnectionError) as exc:
            raise refusal_in(exc) or self.unavailable(exc) from exc
        except Exception as exc:
            if isinstance(exc, OSError) and exc.errno in _LOCAL_FULL:
                raise
            if (refused := refusal_in(exc)) is not None:
                raise refused from exc
            raise self.explain(exc) from exc

    def unavailable(self, why: object) -> StageFailure:
        """It did not answer, or not to the end."""
        return self.subject.unavailable(f"{self.where}: {str(why) or type(why).__name__}")


def is_file_name(name: str) -> bool:
    """True for what names a file directly in a folder, on this machine as in the store."""
    return name not in ("", ".", "..") and len(name.encode(errors="replace")) <= LONGEST_NAME and not any(bad in name for bad in "/\0")


@dataclass(frozen=True)
class StoreFolder:
    """A prefix of a store, seen as a folder."""

    store: Store
    local: Path | None = None

    def files(self) -> dict[str, Stored]:
        """See Folder."""
        entries = self.store.list(self.store.key)
        if not entries:
            raise self.store.not_found("folder not found", self.store.key.rpartition("/")[0])
        files = {name: entry for name, entry in sorted(entries.items()) if entry["type"] == "file"}
        return {name: Stored(self.size(name, entry), self.store.version(entry)) for name, entry in files.items()}

    def size(self, name: str, entry: StoreEntry) -> int:
        """Bytes of a file of the listing. What the server says becomes a path on this machine, so a name that is no name is refused."""
        size = entry.get("size")
        if not is_file_name(name):
            raise self.store.subject.unusable(f"{self.store.where} lists {name!r}, which is not the name of a file in a folder")
        if not isinstance(size, int) or size < 0:
            raise self.store.subject.unusable(f"{self.store.where} lists {name!r} with {size!r} bytes")
        return size

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See Folder."""
        return self.store.read(self.key(name), offset, length)

    def download(self, name: str, target: Path, on_bytes: Callable[[int], None]) -> None:
        """See Folder."""
        self.store.download(self.key(name), target, on_bytes)

    def key(self, name: str) -> str:
        """Key of a file of the folder, which may be the whole store."""
        return f"{self.store.key}/{name}".lstrip("/")


def refusal_in(exc: BaseException) -> StageFailure | None:
    """Our own refusal of a server that a library was led to, which it wraps into an error of its own."""
    following: BaseException | None = exc
    while following is not None and not isinstance(following, StageFailure):
        following = following.__cause__ or following.__context__
    return following


def arrival(on_bytes: Callable[[int], None]) -> Any:
    """An fsspec callback that reports how many bytes have just arrived; some file systems report increments, some the sum."""
    from fsspec.callbacks import Callback

    class Arrival(Callback):  # type: ignore[misc]  # fsspec has no types
        reported = 0

        def call(self, hook_name: str | None = None, **kwargs: Any) -> None:
            if self.value > self.reported:  # parts that arrive out of order report smaller sums
                on_bytes(self.value - self.reported)
                self.reported = self.value

    return Arrival()
