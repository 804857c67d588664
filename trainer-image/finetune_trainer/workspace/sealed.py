"""Directories that are either complete or ignored: a marker, written last, holds the owner and the checksum of every file.

Does not know what is in the files.
"""

from collections.abc import Callable
from pathlib import Path

from finetune_api.document import Document
from finetune_trainer.workspace.checksums import FileSum, damage, sums_of
from finetune_trainer.workspace.files import COMPLETE, mark_complete, walk


class Seal(Document):
    """The content of the marker."""

    owner: str
    """Identifies the run that wrote the directory."""
    files: dict[str, FileSum]


def seal(directory: Path, owner: str, tick: Callable[[], None] = lambda: None) -> None:
    """Makes a written directory durable and complete: every file that is there now counts."""
    seal_files(directory, owner, sums_of(directory, walk(directory), tick))


def seal_files(directory: Path, owner: str, files: dict[str, FileSum]) -> None:
    """The same for files whose checksums are known: several processes may have written them, and this one may not see all yet."""
    mark_complete(directory, Seal(owner=owner, files=files).to_json())


def seal_of(directory: Path) -> Seal | None:
    """The marker; None if it is missing or unreadable, or if a listed file is missing or has another size."""
    try:
        return read_seal(directory)
    except OSError:
        return None


def read_seal(directory: Path) -> Seal | None:
    """Like `seal_of`, but raises OSError for files that cannot be read at the moment."""
    try:
        mark = Seal.from_json((directory / COMPLETE).read_bytes())
        whole = all((directory / name).stat().st_size == file.size_bytes for name, file in mark.files.items())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return mark if whole else None


def sealed_bytes(directory: Path) -> int | None:
    """Bytes of the listed files; None if the directory is not complete."""
    mark = seal_of(directory)
    return sum(file.size_bytes for file in mark.files.values()) if mark else None


def damage_of(directory: Path, owner: str, tick: Callable[[], None] = lambda: None) -> str:
    """Why the directory is not usable by `owner`; empty if it is. Reads every byte. Raises OSError for a file that cannot be read."""
    mark = seal_of(directory)
    if mark is None:
        return f"{directory} is not complete"
    if mark.owner != owner:
        return f"{directory} is of another run"
    return damage(directory, mark.files, tick)
