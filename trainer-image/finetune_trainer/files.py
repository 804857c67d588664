"""Files that are complete or absent: written beside, synced, renamed."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

COMPLETE = ".complete"
"""Marks a finished directory; written after everything else in it is on disk."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replaces `path` by `data` at once: a reader sees the old file or the new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # on a full disk even a torn file's bytes are wanted
        raise
    sync_directory(path.parent)


def put_in_place(partial: Path, target: Path) -> None:
    """Gives a finished file its name, durably."""
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Makes renames and new names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot sync a directory
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Makes every file and every folder below `directory` durable."""
    for path in walk(directory):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    for folder in [*(path for path in directory.rglob("*") if path.is_dir()), directory]:
        sync_directory(folder)


def mark_complete(directory: Path, content: bytes | str = b"") -> None:
    """Syncs the files of `directory` and then marks it complete; `content` is what the mark says."""
    sync_tree(directory)
    write_atomic(directory / COMPLETE, content)


def is_complete(directory: Path) -> bool:
    """True for a directory that was finished."""
    return (directory / COMPLETE).exists()


def walk(directory: Path) -> Iterator[Path]:
    """Every regular file below `directory`, sorted by its path."""
    return iter(sorted(path for path in directory.rglob("*") if path.is_file()))


def sha256_of(path: Path, tick: Callable[[], None] = lambda: None) -> str:
    """Hex sha256 of a file, read in blocks of 1 MiB; `tick` is called with each."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            tick()
    return digest.hexdigest()


def free_bytes(path: Path) -> int:
    """Bytes that may still be written below `path`."""
    return shutil.disk_usage(path).free
