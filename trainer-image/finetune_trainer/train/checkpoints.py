"""Checkpoints: complete or absent, the newest of all attempts first. Knows directories, not what is in them.

A checkpoint is complete when its seal is there and every file that it lists has its size; `resume.py` also reads the files. The
seal is written after everything else is on disk, and goes first when the checkpoint is removed. It names the run by what it
learns from what: on a volume that several runs have used, a run sees its own checkpoints alone.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune_api.progress import CheckpointFigures
from finetune_trainer.workspace.files import COMPLETE
from finetune_trainer.workspace.sealed import read_seal, seal_of, sealed_bytes
from finetune_trainer.workspace.workspace import CHECKPOINT_NAME

SHOWN = 20
"""Checkpoints that a status lists, at most."""
DAMAGED = ".damaged"
"""What the mark of a checkpoint is called whose files have changed since."""


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A place to resume from; the order is from old to new."""

    step: int
    """Optimizer steps done."""
    attempt: int
    path: Path

    @property
    def name(self) -> str:
        """attempt-1/checkpoint-10."""
        return f"{self.path.parent.name}/{self.path.name}"


def complete_checkpoints(root: Path, owner: str) -> list[Checkpoint]:
    """The checkpoints below `root` that `owner` can be resumed from, the newest first."""
    return sorted((checkpoint for checkpoint in all_checkpoints(root) if owner_of(checkpoint) == owner), reverse=True)


def checkpoint_at(root: Path, attempt: int, step: int) -> Checkpoint:
    """The checkpoint that `attempt` writes at `step`."""
    return Checkpoint(step, attempt, root / f"attempt-{attempt}" / f"checkpoint-{step}")


def all_checkpoints(root: Path) -> list[Checkpoint]:
    """Every directory that has a checkpoint's name."""
    found = ((CHECKPOINT_NAME.fullmatch(path.relative_to(root).as_posix()), path) for path in root.glob("attempt-*/checkpoint-*"))
    return [Checkpoint(int(name[2]), int(name[1]), path) for name, path in found if name is not None]


def owner_of(checkpoint: Checkpoint) -> str | None:
    """The run that wrote it; None when it is not complete."""
    mark = seal_of(checkpoint.path)
    return mark.owner if mark else None


def mark_damaged(checkpoint: Checkpoint) -> None:
    """Takes a checkpoint out of the complete ones. Its files stay until there is a new one."""
    (checkpoint.path / COMPLETE).rename(checkpoint.path / DAMAGED)


def sweep(root: Path, owner: str, attempt: int) -> None:
    """Removes what earlier attempts left incomplete. To be called at the start of an attempt, while nothing else writes.

    Another run's checkpoints stay, but for those whose names this attempt is going to use, and so does what cannot be read now.
    """
    for checkpoint in all_checkpoints(root):
        try:
            mark = read_seal(checkpoint.path)
        except OSError:
            continue
        if mark is None or (mark.owner != owner and checkpoint.attempt == attempt):
            remove(checkpoint.path)


def best_checkpoint(checkpoints: Sequence[Checkpoint], losses: Mapping[int, float]) -> Checkpoint | None:
    """The one with the lowest of the validation losses by step, of equal ones the earliest; None if no step was validated."""
    validated = [checkpoint for checkpoint in checkpoints if checkpoint.step in losses]
    return min(validated, key=lambda checkpoint: (losses[checkpoint.step], checkpoint.step, -checkpoint.attempt), default=None)


def figures_of(checkpoints: Sequence[Checkpoint], validated: Mapping[int, float], trained: Mapping[int, float]) -> list[CheckpointFigures]:
    """What is said of the newest checkpoints and the best one, with validation and training losses by step."""
    best = best_checkpoint(checkpoints, validated)
    listed = [checkpoint for place, checkpoint in enumerate(checkpoints) if place < SHOWN - 1 or checkpoint == best]
    return [
        CheckpointFigures(
            step=checkpoint.step,
            loss=trained.get(checkpoint.step),
            validation_loss=validated.get(checkpoint.step),
            size_bytes=sealed_bytes(checkpoint.path),
            best=checkpoint == best,
        )
        for checkpoint in listed
    ]


def with_copies(checkpoints: Sequence[CheckpointFigures], uris: Mapping[int, str]) -> list[CheckpointFigures]:
    """The same with the addresses of the copies that there are, by step."""
    return [figures.model_copy(update={"uri": uris.get(figures.step)}) for figures in checkpoints]


def rotate(root: Path, owner: str, keep: int, losses: Mapping[int, float], *held: Path | None) -> list[Checkpoint]:
    """Removes all complete checkpoints of this run but the `keep` newest ones of all attempts and the best one, and those found damaged.

    `losses` are validation losses by step. Those in `held` are kept as well: the one that was just written, as newer ones may be those that
    could not be read, and the one that is being copied. Returns the checkpoints that are left, the newest first.
    """
    damaged = [checkpoint for checkpoint in all_checkpoints(root) if (checkpoint.path / DAMAGED).exists()]
    complete = complete_checkpoints(root, owner)
    best = best_checkpoint(complete, losses)
    kept = [checkpoint for place, checkpoint in enumerate(complete) if place < keep or checkpoint == best or checkpoint.path in held]
    for checkpoint in [*complete, *damaged]:
        if checkpoint not in kept:
            remove(checkpoint.path)
    return kept


def remove(directory: Path) -> None:
    """Removes a checkpoint, its mark first: what a lost process leaves of it is incomplete."""
    (directory / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)
