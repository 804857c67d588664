"""Directories that are whole or do not count: a mark, written last, says for whom they were written and what every file was.

Knows not what is in the files.
"""

from collections.abc import Callable
from pathlib import Path

from finetune_api.document import Document
from finetune_trainer.checksums import FileSum, damage, sums_of
from finetune_trainer.files import COMPLETE, mark_complete, walk


class Seal(Document):
    """What the mark says."""

    owner: str
    """Whose directory it is, as its writer calls itself."""
    files: dict[str, FileSum]


def seal(directory: Path, owner: str, tick: Callable[[], None] = lambda: None) -> None:
    """Makes a written directory durable and complete."""
    written = Seal(owner=owner, files=sums_of(directory, walk(directory), tick))
    mark_complete(directory, written.to_json())


def seal_of(directory: Path) -> Seal | None:
    """What the mark says; None where there is none, it cannot be read, or a listed file is missing or cut."""
    try:
        return read_seal(directory)
    except OSError:
        return None


def read_seal(directory: Path) -> Seal | None:
    """The same. Raises OSError for what cannot be read now, and maybe can be later."""
    try:
        mark = Seal.from_json((directory / COMPLETE).read_bytes())
        whole = all((directory / name).stat().st_size == file.size_bytes for name, file in mark.files.items())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return mark if whole else None


def damage_of(directory: Path, owner: str, tick: Callable[[], None] = lambda: None) -> str:
    """Why the directory does not count for `owner`, empty when it does: reads every byte. Raises OSError for a file that cannot be read."""
    mark = seal_of(directory)
    if mark is None:
        return f"{directory} is not complete"
    if mark.owner != owner:
        return f"{directory} is of another run"
    return damage(directory, mark.files, tick)
