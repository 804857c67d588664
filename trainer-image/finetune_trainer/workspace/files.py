"""Files that are either complete or absent: written to a temporary name, synced, renamed."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

COMPLETE = ".complete"
"""Marks a complete directory; written after all its other files are on disk."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Atomically replaces `path` with `data`: a reader sees the old file or the new one, even after a power failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # frees its space on a full disk
        raise
    sync_directory(path.parent)


def put_in_place(partial: Path, target: Path) -> None:
    """Durably renames a finished file."""
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Makes renames and new entries in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot sync a directory
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(paths: Iterable[Path]) -> None:
    """Makes the content of files durable."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def sync_tree(directory: Path) -> None:
    """Makes all files and folders below `directory` durable."""
    sync_files(walk(directory))
    for folder in [*(path for path in directory.rglob("*") if path.is_dir()), directory]:
        sync_directory(folder)


def mark_complete(directory: Path, content: bytes | str = b"") -> None:
    """Syncs the files of `directory` and then writes its completion marker with `content`."""
    sync_tree(directory)
    write_atomic(directory / COMPLETE, content)


def is_complete(directory: Path) -> bool:
    """True for a complete directory."""
    return (directory / COMPLETE).exists()


def walk(directory: Path) -> Iterator[Path]:
    """All regular files below `directory`, sorted by path."""
    return iter(sorted(path for path in directory.rglob("*") if path.is_file()))


def sha256_of(path: Path, tick: Callable[[], None] = lambda: None) -> str:
    """sha256 of a file in hex, read in blocks of 1 MiB; `tick` is called for each."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            tick()
    return digest.hexdigest()


def free_bytes(path: Path) -> int:
    """Free disk space at `path` in bytes."""
    return shutil.disk_usage(path).free
