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
from finetune_trainer.train.checkpoints import checkpoint_at, remove
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.sealed import Seal, seal_of
from finetune_trainer.workspace.workspace import CHECKPOINT_NAME

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
    """Whether the training must not begin without an answer of the store. False where no checkpoint has been complete yet."""
    warnings: list[StageWarning] = field(default_factory=list)
    """What could not be used and why."""
    restored: list[str] = field(default_factory=list)
    """Names of the checkpoints that were brought back."""
    failure: Exception | None = None

    def run(self) -> None:
        """The thread; leaves what went wrong in `failure`."""
        try:
            self._run()
        except Exception as exc:
            if self.required or unfinished(self.root).exists():
                self.failure = repeated(exc)
            else:
                self.warnings.append(StageWarning(code="CheckpointStoreUnavailable", message=str(exc)[:500]))

    def _run(self) -> None:
        if self.required:
            write_atomic(unfinished(self.root), b"")
        store = self.open_store()
        if candidates := self._candidates(store):
            write_atomic(unfinished(self.root), b"")
        self._fetch(store, candidates)
        unfinished(self.root).unlink(missing_ok=True)

    def _fetch(self, store: CheckpointCopies, candidates: list[tuple[str, Seal]]) -> None:
        """What an interrupted restore has brought is not fetched again."""
        for name, seal in candidates:
            directory = self.root / name
            if seal_of(directory) == seal:
                if not self.everything:
                    return
                continue
            remove(directory)
            if why := store.fetch(name, seal, directory, self.records, lambda _: None):
                remove(directory)
                damaged = f"the copy {store.uri_of(name)} is damaged: {why}"
                self.warnings.append(StageWarning(code="CheckpointDamaged", message=damaged[:500]))
                continue
            self.restored.append(name)
            if not self.everything:
                return

    def _candidates(self, store: CheckpointCopies) -> list[tuple[str, Seal]]:
        """Complete copies of this run, the newest first."""
        found = store.found()
        seals = {name: seal for name, files in found.items() if (seal := store.seal(name, files)) is not None}
        places = {name: checkpoint_at(self.root, *map(int, CHECKPOINT_NAME.fullmatch(name).groups())) for name in seals}  # type: ignore[union-attr]
        mine = sorted((name for name, seal in seals.items() if seal.owner == self.owner), key=places.__getitem__, reverse=True)
        return [(name, seals[name]) for name in mine]


def unfinished(root: Path) -> Path:
    """The mark of a restore that began and did not end: the store has what the workspace has not, and the next attempt goes on with it."""
    return root / ".restoring"


def repeated(exc: Exception) -> Exception:
    """A refusal may end as well, as that of keys that have expired: the operator tries again, as the copies are all that is left."""
    if isinstance(exc, StageFailure) and exc.error.code == "AccessDenied":
        return StageFailure(ExitCode.SOURCE_UNAVAILABLE, exc.error.code, exc.error.message, param=exc.error.param)
    return exc


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
