"""The part of a download that has arrived: a file beside its target, and how it can be gone on with."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from finetune_trainer.workspace.files import put_in_place

STEP = 16 << 20
"""Bytes by which space is reserved when the size of a download is unknown."""


class Partial:
    """Written from its beginning to its end; begun again when it cannot be gone on with."""

    def __init__(self, target: Path, check_space: Callable[[int], None], on_bytes: Callable[[int], None]) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self.check_space = check_space
        """Hears how many bytes are about to be written, and raises when there is no room for them."""
        self.on_bytes = on_bytes
        self.size = 0
        """Bytes that have arrived."""
        self.room = 0
        """Size up to which there is room."""
        self.validator = ""
        """The server's name for this version of the content, with which it can be asked for the rest; empty: begin again."""
        target.parent.mkdir(parents=True, exist_ok=True)

    def begin_again(self) -> None:
        """Forgets what has arrived."""
        self.on_bytes(-self.size)
        self.size, self.room, self.validator = 0, 0, ""
        self.path.write_bytes(b"")

    def make_room(self, length: int) -> None:
        """There are so many bytes to come."""
        self.check_space(length)
        self.room = self.size + length

    def write(self, file: BinaryIO, piece: bytes) -> None:
        """Appends to the file that is open for it."""
        if self.size + len(piece) > self.room:
            self.check_space(STEP)
            self.room = self.size + len(piece) + STEP
        file.write(piece)
        self.size += len(piece)
        self.on_bytes(len(piece))

    def finish(self) -> Path:
        """The target, complete and durable."""
        put_in_place(self.path, self.target)
        return self.target
