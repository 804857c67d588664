"""Checkpoints: complete or absent, the newest of all attempts first. Knows directories, not what is in them.

A checkpoint is complete when its mark is there and every file that the mark lists has its size. The mark is written after
everything else is on disk, and goes first when the checkpoint is removed. It names the run by its spec's digest: on a volume
that several runs have used, a run sees its own checkpoints alone.
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


def complete_checkpoints(root: Path, digest: str) -> list[Checkpoint]:
    """The checkpoints below `root` that the run of this spec digest can be resumed from, the newest first."""
    return sorted((checkpoint for checkpoint in all_checkpoints(root) if sealed_for(checkpoint.path) == digest), reverse=True)


def newest_checkpoint(root: Path, digest: str) -> Checkpoint | None:
    """Where a new attempt goes on from."""
    return next(iter(complete_checkpoints(root, digest)), None)


def checkpoint_at(root: Path, attempt: int, step: int) -> Checkpoint:
    """The checkpoint that `attempt` writes at `step`."""
    return Checkpoint(step, attempt, root / f"attempt-{attempt}" / f"checkpoint-{step}")


def all_checkpoints(root: Path) -> list[Checkpoint]:
    """Every directory that has a checkpoint's name."""
    found = ((NAME.fullmatch(path.relative_to(root).as_posix()), path) for path in root.glob("attempt-*/checkpoint-*"))
    return [Checkpoint(int(name[2]), int(name[1]), path) for name, path in found if name is not None]


def seal(directory: Path, digest: str) -> None:
    """Makes a written checkpoint durable and complete."""
    sizes = {path.relative_to(directory).as_posix(): path.stat().st_size for path in walk(directory)}
    mark_complete(directory, json.dumps({"specDigest": digest, "sizes": sizes}))


def sealed_for(directory: Path) -> str | None:
    """The spec digest of the run that wrote this checkpoint; None when the mark or a listed file is missing or cut."""
    try:
        mark = json.loads((directory / COMPLETE).read_text())
        whole = all((directory / name).stat().st_size == size for name, size in mark["sizes"].items())
        return str(mark["specDigest"]) if whole else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None


def sweep(root: Path, digest: str, attempt: int) -> None:
    """Removes what dead attempts left half-written. For the start of an attempt, when nobody else writes.

    Another run's checkpoints stay, but for those whose names this attempt is going to use.
    """
    for checkpoint in all_checkpoints(root):
        owner = sealed_for(checkpoint.path)
        if owner is None or (owner != digest and checkpoint.attempt == attempt):
            remove(checkpoint.path)


def rotate(root: Path, digest: str, keep: int) -> None:
    """Removes all complete checkpoints of this run but the `keep` newest ones of all attempts."""
    for checkpoint in complete_checkpoints(root, digest)[keep:]:
        remove(checkpoint.path)


def remove(directory: Path) -> None:
    """Removes a checkpoint, its mark first: what a lost process leaves of it is incomplete."""
    (directory / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)
