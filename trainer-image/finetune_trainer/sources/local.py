"""Files of this machine: mounted claims and config maps, or a laptop's folders. They are used in place."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from finetune_trainer.sources.folder import Stored
from finetune_trainer.sources.subject import Subject


def local_path(uri: str) -> Path:
    """Path of a plain path or a file:// address."""
    return Path(unquote(urlsplit(uri).path) if uri.startswith("file://") else uri)


def local_file(path: Path, subject: Subject) -> Path:
    """The file itself, after a look that it is one and can be read."""
    try:
        if path.is_dir():
            raise subject.not_found("this is a folder, but a file is required", (f"{path.name}/{name}" for name in names(path)))
        if not path.is_file():
            raise subject.not_found("file not found", *nearby(path))
        path.open("rb").close()
    except PermissionError as exc:
        raise subject.denied(unreadable(path)) from exc
    return path


class LocalFolder:
    """A folder of this machine."""

    def __init__(self, path: Path, subject: Subject) -> None:
        self.local: Path = path
        self.subject = subject
        try:
            if not path.is_dir():
                raise subject.not_found("folder not found", *nearby(path))
        except PermissionError as exc:
            raise subject.denied(unreadable(path)) from exc

    def files(self) -> dict[str, Stored]:
        """See Folder."""
        try:
            return {entry.name: Stored(entry.stat().st_size) for entry in sorted(self.local.iterdir()) if entry.is_file()}
        except PermissionError as exc:
            raise self.subject.denied(unreadable(self.local)) from exc

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See Folder."""
        try:
            with open(self.local / name, "rb") as file:
                file.seek(offset)
                return file.read(length)
        except PermissionError as exc:
            raise self.subject.denied(unreadable(self.local / name)) from exc

    def download(self, name: str, target: Path, on_bytes: Callable[[int], None]) -> None:
        """Never needed: a local folder is used in place."""
        raise AssertionError(f"{self.local / name} is used in place")


def nearby(path: Path) -> tuple[list[str], int]:
    """Names in the folder of a path, or in the first one above it that is there, and how many levels above that is."""
    up = next(up for up, folder in enumerate(path.absolute().parents) if folder.is_dir())
    return names(path.absolute().parents[up]), up


def names(folder: Path) -> list[str]:
    """What a folder holds, without hidden names; empty when there is no such folder."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def unreadable(path: Path) -> str:
    """Words for a missing file permission."""
    return f"the volume does not let this user read {path}: set the stage's pod.fsGroup to the group that owns the files"
