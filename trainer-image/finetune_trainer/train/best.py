"""The checkpoint whose weights a run leaves, where that is not its last step: the one with the lowest validation loss."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from finetune_api.result import StageWarning
from finetune_trainer.distributed.world import World
from finetune_trainer.train.checkpoints import Checkpoint, best_checkpoint, checkpoint_at, complete_checkpoints
from finetune_trainer.train.loop.curve import ValidationCurve
from finetune_trainer.workspace.sealed import damage_of


@dataclass(frozen=True)
class Best:
    """What was chosen."""

    checkpoint: Checkpoint | None
    """None: the last step."""
    warning: StageWarning | None = None
    """Lower losses whose checkpoints are lost."""


def choose_best(root: Path, owner: str, curve: ValidationCurve, step: int, world: World, tick: Callable[[], None]) -> Best:
    """Rank 0 chooses for all, among the checkpoints whose every byte is as it was written and the last step, `step`."""
    found = best_intact(root, owner, curve, step, tick) if world.is_first else None
    attempt, number = world.from_first(found.attempt if found else 0, found.step if found else step)
    wanted = curve.best
    lost = wanted is not None and curve.losses.get(number, wanted.loss) > wanted.loss
    return Best(checkpoint_at(root, attempt, number) if attempt else None, lost_warning(curve, number) if lost else None)


def best_intact(root: Path, owner: str, curve: ValidationCurve, step: int, tick: Callable[[], None]) -> Checkpoint | None:
    """None where nothing has a lower loss than the last step."""
    last = curve.losses.get(step)
    candidates = complete_checkpoints(root, owner)
    while (best := best_checkpoint(candidates, curve.losses)) is not None and (last is None or curve.losses[best.step] < last):
        with contextlib.suppress(OSError):  # it cannot be read
            if not damage_of(best.path, owner, tick):
                return best
        candidates.remove(best)
    return None


def lost_warning(curve: ValidationCurve, step: int) -> StageWarning:
    """The best step is not the one that is left."""
    assert curve.best is not None
    return StageWarning(
        code="BestCheckpointLost",
        message=f"the validation loss was lowest at step {curve.best.step} ({curve.best.loss:.3f}), whose checkpoint is missing or "
        f"damaged: the weights of step {step} are published",
    )
