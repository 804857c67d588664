"""The one view that the base model's checks have of a folder, wherever it lies."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Stored:
    """A file as its folder lists it."""

    size: int
    """Bytes."""
    version: str = ""
    """Changes when the content does: S3's ETag. Empty for local files, which are used in place."""


class Folder(Protocol):
    """A flat folder: subfolders are not looked at. Every method raises StageFailure in the user's words."""

    @property
    def local(self) -> Path | None:
        """Where it lies on this machine, or None when its files have to be downloaded."""
        ...

    def files(self) -> dict[str, Stored]:
        """Name -> size and version of each file directly in it."""
        ...

    def read(self, name: str, offset: int, length: int) -> bytes:
        """`length` bytes (fewer at the file's end) from `offset`."""
        ...

    def download(self, name: str, target: Path, on_bytes: Callable[[int], None]) -> None:
        """Copies a file to `target`, complete or not at all; `on_bytes` hears how many bytes have just arrived."""
        ...
