"""Checkpoints: complete or absent, the newest of all attempts first. Knows directories, not what is in them.

A checkpoint is complete when its mark is there and every file that the mark lists has its size. The mark is written after
everything else is on disk, and goes first when the checkpoint is removed.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.files import COMPLETE, mark_complete, walk

NAME = re.compile(r"attempt-(\d+)/checkpoint-(\d+)")


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A place to resume from; the order is from old to new."""

    step: int
    """Optimizer steps done."""
    attempt: int
    path: Path


def complete_checkpoints(root: Path) -> list[Checkpoint]:
    """The checkpoints below `root` that can be resumed from, the newest first."""
    return sorted((checkpoint for checkpoint in all_checkpoints(root) if is_intact(checkpoint.path)), reverse=True)


def newest_checkpoint(root: Path) -> Checkpoint | None:
    """Where a new attempt goes on from."""
    return next(iter(complete_checkpoints(root)), None)


def checkpoint_at(root: Path, attempt: int, step: int) -> Checkpoint:
    """The checkpoint that `attempt` writes at `step`."""
    return Checkpoint(step, attempt, root / f"attempt-{attempt}" / f"checkpoint-{step}")


def all_checkpoints(root: Path) -> list[Checkpoint]:
    """Every directory that has a checkpoint's name."""
    found = ((NAME.fullmatch(path.relative_to(root).as_posix()), path) for path in root.glob("attempt-*/checkpoint-*"))
    return [Checkpoint(int(name[2]), int(name[1]), path) for name, path in found if name is not None]


def seal(directory: Path) -> None:
    """Makes a written checkpoint durable and complete."""
    sizes = {path.relative_to(directory).as_posix(): path.stat().st_size for path in walk(directory)}
    mark_complete(directory, json.dumps(sizes))


def is_intact(directory: Path) -> bool:
    """True when the mark is there and no listed file is missing or cut."""
    try:
        sizes = json.loads((directory / COMPLETE).read_text())
        return all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def sweep(root: Path) -> None:
    """Removes what dead attempts left half-written. For the start of an attempt, when nobody else writes."""
    for checkpoint in all_checkpoints(root):
        if not is_intact(checkpoint.path):
            remove(checkpoint.path)


def rotate(root: Path, keep: int) -> None:
    """Removes all complete checkpoints but the `keep` newest ones of all attempts."""
    for checkpoint in complete_checkpoints(root)[keep:]:
        remove(checkpoint.path)


def remove(directory: Path) -> None:
    """Removes a checkpoint, its mark first: what a lost process leaves of it is incomplete."""
    (directory / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)
