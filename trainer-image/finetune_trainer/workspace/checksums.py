"""Size and checksum of files as they were written, to detect later whether they are intact.

The checksum is xxHash's XXH3 of 128 bits: it detects corruption by disks, networks and power failures at memory speed. It
does not protect against tampering; models, which leave the workspace, have sha256.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import xxhash

from finetune_api.document import Document

BLOCK = 4 << 20
"""Bytes per read."""


class FileSum(Document):
    """One file."""

    size_bytes: int
    xxh3: str = ""
    """XXH3-128 in hex; empty if only the size is recorded."""


def sums_of(root: Path, paths: Iterable[Path], tick: Callable[[], None] = lambda: None) -> dict[str, FileSum]:
    """Checksums of files below `root`, by relative path. `tick` is called for every block read."""
    return {path.relative_to(root).as_posix(): FileSum(size_bytes=path.stat().st_size, xxh3=checksum(path, tick)) for path in sorted(paths)}


def sizes_of(root: Path, paths: Iterable[Path]) -> dict[str, FileSum]:
    """Sizes only, without reading the files."""
    return {path.relative_to(root).as_posix(): FileSum(size_bytes=path.stat().st_size) for path in sorted(paths)}


def damage(root: Path, sums: Mapping[str, FileSum], tick: Callable[[], None] = lambda: None) -> str:
    """Describes the first file that has changed; empty if all are intact. Raises OSError for a file that cannot be read."""
    for name, written in sums.items():
        path = root / name
        if not path.is_file():
            return f"{path} is missing"
        if (size := path.stat().st_size) != written.size_bytes:
            return f"{path} has {size:,} bytes and was written with {written.size_bytes:,}"
        if written.xxh3 and checksum(path, tick) != written.xxh3:
            return f"{path} does not have the checksum that it was written with"
    return ""


def checksum(path: Path, tick: Callable[[], None] = lambda: None) -> str:
    """XXH3-128 of a file, in hex."""
    digest, block = xxhash.xxh3_128(), memoryview(bytearray(BLOCK))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
            tick()
    return digest.hexdigest()
