"""Where an attempt goes on: the newest checkpoint whose every byte is as it was written, the same one for all ranks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.distributed.world import World
from finetune_trainer.train.checkpoints import Checkpoint, checkpoint_at, complete_checkpoints, mark_damaged, sweep
from finetune_trainer.workspace.sealed import damage_of


@dataclass(frozen=True)
class Resume:
    """What was chosen."""

    checkpoint: Checkpoint | None
    """None: training begins with the base."""
    passed: tuple[str, ...] = ()
    """Why each newer one was passed over; of rank 0."""

    @property
    def notes(self) -> list[str]:
        """What was passed over, why, and what happens instead, a sentence each."""
        found = self.checkpoint
        instead = f"training resumes from {found.name}" if found else "no checkpoint is left, so training restarts from the base"
        return [f"{why}: {instead}" for why in self.passed]


def choose_checkpoint(root: Path, owner: str, attempt: int, world: World, tick: Callable[[], None]) -> Resume:
    """Rank 0 proposes, a rank of each node reads what it sees, and one that finds damage takes it from all.

    What dead attempts left half-written is removed before. A checkpoint that cannot be read now may be readable later: it keeps
    its mark. `tick` is called while files are read.
    """
    if world.is_first:
        sweep(root, owner, attempt)
    candidates = iter(complete_checkpoints(root, owner) if world.is_first else ())
    passed: list[str] = []
    while True:
        candidate = next(candidates, None)
        number, step = world.from_first(candidate.attempt if candidate else 0, candidate.step if candidate else 0)
        checkpoint = checkpoint_at(root, number, step) if number else None
        why = passed_over(checkpoint, owner, world, tick) if checkpoint else ""
        (damaged,) = world.any(bool(why))
        if not damaged:
            return Resume(checkpoint, tuple(passed))
        passed.append(why or f"another node cannot read {root / f'attempt-{number}' / f'checkpoint-{step}'}")


def passed_over(checkpoint: Checkpoint, owner: str, world: World, tick: Callable[[], None]) -> str:
    """Why this checkpoint cannot be resumed from, as far as this rank can tell; empty when it can."""
    if not world.is_first_of_node:
        return ""
    try:
        why = damage_of(checkpoint.path, owner, tick)
    except OSError as exc:
        return f"{exc.filename or checkpoint.path} cannot be read ({exc.strerror})"
    if why and world.is_first:
        mark_damaged(checkpoint)
    return why
