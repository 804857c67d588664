"""The base model's log-probabilities for all rows, computed once, before the first step, by the model that is about to be trained.

They are kept in the workspace: in pieces while they are computed, so that an attempt goes on where the one before it was ended, and
sealed when they are complete. The micro-batches are those of the first epoch, so that its first step starts from a margin of 0.
"""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from finetune_trainer.distributed.world import World
from finetune_trainer.learner import Watch
from finetune_trainer.step_plan import MicroBatch
from finetune_trainer.strategies.fsdp import shard_again
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.sealed import damage_of, seal

Values = NDArray[np.float64]
PIECES = 50
"""Of a pass: what is computed again after an interruption is at most so large a share."""
ACTIVITY = "computing reference log-probabilities"
FINISHED = "log-probs.npy"


class ReferenceFiles:
    """The folder of one file of rows; written by rank 0 alone."""

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        self._owner = owner
        self._digest = hashlib.sha256(owner.encode()).hexdigest()[:12]

    def finished(self) -> Values | None:
        """All of them, (rows, answers); None if they are not complete, damaged, or of another run."""
        with contextlib.suppress(OSError, ValueError):
            if not damage_of(self._folder, self._owner):
                values: Values = np.load(self._folder / FINISHED)
                return values
        return None

    def piece(self, name: str) -> Values | None:
        """A piece as `write_piece` got it, or None."""
        with contextlib.suppress(OSError, ValueError):
            values: Values = np.load(self._piece(name))
            return values
        return None

    def write_piece(self, name: str, values: Values) -> None:
        """Of each row its number and its log-probabilities."""
        write_atomic(self._piece(name), as_bytes(values))

    def finish(self, values: Values) -> None:
        """Replaces the pieces."""
        write_atomic(self._folder / FINISHED, as_bytes(values))
        for path in self._folder.glob("piece-*.npy"):
            path.unlink()
        seal(self._folder, self._owner)

    def _piece(self, name: str) -> Path:
        return self._folder / f"piece-{self._digest}-{name}.npy"


@dataclass(frozen=True)
class ReferencePass:
    """Every row of a file once. All ranks make it together."""

    rows: int
    """Of the file."""
    steps: Sequence[Sequence[MicroBatch]]
    """This rank's micro-batches of each step; there are as many steps on every rank."""
    compute: Callable[[MicroBatch], Values]
    """The log-probabilities of a micro-batch, (its rows, answers)."""
    world: World
    watch: Watch

    def run(self, files: ReferenceFiles) -> Values:
        """(rows, answers) on every rank, NaN for rows that no step has."""
        finished = from_first(self.world, files.finished)
        if finished is not None:
            return finished
        size = -(-len(self.steps) // PIECES)
        starts = range(0, len(self.steps), size)
        layout = hashlib.sha256(repr([batch.examples for step in self.steps for batch in step]).encode()).hexdigest()[:8]
        pieces = [self._piece(files, f"{layout}-{start}", start, start + size) for start in starts]
        lines = np.concatenate(pieces)
        values = np.full((self.rows, lines.shape[1] - 1), np.nan)
        values[lines[:, 0].astype(np.int64)] = lines[:, 1:]
        self.world.together(lambda: files.finish(values) if self.world.is_first else None)
        return values

    def _piece(self, files: ReferenceFiles, name: str, start: int, end: int) -> Values:
        """Of an earlier attempt that had the same micro-batches, or computed."""
        known = from_first(self.world, lambda: files.piece(name))
        if known is not None:
            return known
        piece = np.concatenate(self.world.gather(self._lines(start, end)))
        self.world.together(lambda: files.write_piece(name, piece) if self.world.is_first else None)
        return piece

    def _lines(self, start: int, end: int) -> Values:
        """This rank's share of the steps from `start` up to `end`: a line for each row, its number first."""
        lines: list[Values] = []
        for done, step in enumerate(self.steps[start:end], start=start + 1):
            for batch in step:
                rows = np.array(() if batch.filler else batch.examples, np.float64)
                lines.append(np.column_stack([rows, self.compute(batch)]))
            self.watch(ACTIVITY, done, len(self.steps))
        return np.concatenate(lines)


def from_first(world: World, read: Callable[[], Values | None]) -> Values | None:
    """What rank 0 reads: other nodes may see its files late."""
    return world.gather(read() if world.is_first else None)[0]


def as_bytes(values: Values) -> bytes:
    """As a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@contextlib.contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """The model as the base is, wherever in a wrapper its adapters are."""
    from peft import PeftModel

    adapted = next((module for module in model.modules() if isinstance(module, PeftModel)), None)
    if adapted is None:
        yield
        return
    with adapted.disable_adapter():
        yield
        shard_again(model)  # at its end PEFT marks the parameters that are there as trained: they must be the shards
