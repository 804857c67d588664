"""Brings checkpoints back from the job's object store into a workspace that has none: the one before was lost."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finetune_api.exit_codes import ExitCode
from finetune_api.result import StageWarning
from finetune_trainer.checkpoint_store import CheckpointCopies
from finetune_trainer.distributed.world import World
from finetune_trainer.failure import StageFailure
from finetune_trainer.train.checkpoints import NAME, checkpoint_at, remove
from finetune_trainer.workspace.sealed import Seal

POLL = 0.5
"""Seconds between the agreements of the ranks while rank 0 downloads."""


@dataclass
class Restore:
    """Runs in a thread of rank 0, so that all ranks show signs of life and hear SIGTERM meanwhile."""

    open_store: Callable[[], CheckpointCopies]
    root: Path
    """Folder of the checkpoints."""
    owner: str
    everything: bool
    """All of them, not the newest alone."""
    records: Sequence[Path]
    required: bool
    """Whether the training must not begin without an answer of the store. False for a workspace that was there before."""
    warnings: list[StageWarning] = field(default_factory=list)
    """What could not be used and why."""
    restored: list[str] = field(default_factory=list)
    """Names of the checkpoints that were brought back."""
    failure: Exception | None = None
    arrived: int = 0
    """Bytes."""

    def run(self) -> None:
        """The thread; leaves what went wrong in `failure`."""
        try:
            self._run()
        except Exception as exc:
            if self.required:
                self.failure = exc
            else:
                self.warnings.append(StageWarning(code="CheckpointStoreUnavailable", message=str(exc)[:500]))

    def _run(self) -> None:
        store = self.open_store()
        for name, seal in self._candidates(store):
            directory = self.root / name
            remove(directory)
            if why := store.fetch(name, seal, directory, self.records, self._count):
                remove(directory)
                damaged = f"the copy {store.uri_of(name)} is damaged: {why}"
                self.warnings.append(StageWarning(code="CheckpointDamaged", message=damaged[:500]))
                continue
            self.restored.append(name)
            if not self.everything:
                return

    def _candidates(self, store: CheckpointCopies) -> list[tuple[str, Seal]]:
        """Complete copies of this run, the newest first."""
        found = {name: files for name, files in store.found().items() if NAME.fullmatch(name)}
        seals = {name: seal for name, files in found.items() if (seal := store.seal(name, files)) is not None}
        places = {name: checkpoint_at(self.root, *map(int, NAME.fullmatch(name).groups())) for name in seals}  # type: ignore[union-attr]
        mine = sorted((name for name, seal in seals.items() if seal.owner == self.owner), key=places.__getitem__, reverse=True)
        return [(name, seals[name]) for name in mine]

    def _count(self, number: int) -> None:
        self.arrived += number


def restore_together(restore: Restore | None, world: World, asked_to_stop: Callable[[], bool], tick: Callable[[], None]) -> None:
    """Runs the restore of rank 0; the other ranks have none. Raises on all ranks what failed there, or StageFailure for SIGTERM."""
    thread = threading.Thread(target=restore.run, name="restore", daemon=True) if restore else None
    if thread is not None:
        thread.start()
    done = False
    while not done:
        if thread is not None:
            thread.join(POLL)
        elif not world.is_first:
            time.sleep(POLL / 2)
        done, stop = world.any(thread is not None and not thread.is_alive(), asked_to_stop())
        tick()
        if stop and not done:
            world.leave()
            raise StageFailure(
                ExitCode.PREEMPTED, "Preempted", "stopped by SIGTERM while a checkpoint was brought back; the next attempt repeats it"
            )
    world.together(lambda: raise_failure(restore))


def raise_failure(restore: Restore | None) -> None:
    """What ended a restore, if anything did."""
    if restore is not None and restore.failure is not None:
        raise restore.failure
