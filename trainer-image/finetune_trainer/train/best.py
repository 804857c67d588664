"""The checkpoint whose weights a run leaves, where that is not its last step: the one with the lowest validation loss."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune_api.result import StageWarning
from finetune_trainer.distributed.world import World
from finetune_trainer.train.checkpoints import Checkpoint, best_checkpoint, checkpoint_at, complete_checkpoints
from finetune_trainer.train.loop.curve import ValidationCurve
from finetune_trainer.train.resume import passed_over


@dataclass(frozen=True)
class Best:
    """What was chosen."""

    checkpoint: Checkpoint | None
    """None: the last step."""
    warning: StageWarning | None = None
    """Lower losses whose checkpoints are lost."""


def choose_best(root: Path, owner: str, curve: ValidationCurve, step: int, world: World, tick: Callable[[], None]) -> Best:
    """The best of the checkpoints whose every byte is as it was written, and of the last step, `step`.

    Rank 0 proposes one after another, and a rank of each node reads what it sees: so each node's launcher sees signs of life (`tick`).
    """
    candidates = iter(better(root, owner, curve, step) if world.is_first else ())
    while True:
        candidate = next(candidates, None)
        attempt, number = world.from_first(candidate.attempt if candidate else 0, candidate.step if candidate else step)
        checkpoint = checkpoint_at(root, attempt, number) if attempt else None
        if checkpoint is None or not world.any(bool(passed_over(checkpoint, owner, world, tick)))[0]:
            break
    wanted = curve.best
    lost = wanted is not None and curve.losses.get(number, wanted.loss) > wanted.loss
    return Best(checkpoint, lost_warning(curve, number) if lost else None)


def better(root: Path, owner: str, curve: ValidationCurve, step: int) -> Iterator[Checkpoint]:
    """The checkpoints with a lower validation loss than the last step's, the best first."""
    last, candidates = curve.losses.get(step), complete_checkpoints(root, owner)
    while (best := best_checkpoint(candidates, curve.losses)) is not None and (last is None or curve.losses[best.step] < last):
        candidates.remove(best)
        yield best


def lost_warning(curve: ValidationCurve, step: int) -> StageWarning:
    """The best step is not the one that is left."""
    assert curve.best is not None
    return StageWarning(
        code="BestCheckpointLost",
        message=f"the validation loss was lowest at step {curve.best.step} ({curve.best.loss:.3f}), whose checkpoint is missing or "
        f"damaged: the weights of step {step} are published",
    )
