"""Copies checkpoints to the job's object store while the training goes on: one thread of rank 0.

A store that is slow, down or refuses costs copies, never the training.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from finetune_api.result import StageWarning
from finetune_trainer.checkpoint_store import STORE_FIELD, CheckpointCopies
from finetune_trainer.train.checkpoints import Checkpoint
from finetune_trainer.workspace.files import is_complete
from finetune_trainer.workspace.sealed import seal_of

PAUSE = 60.0
"""Seconds before a failed copy is tried again; a new checkpoint is tried at once."""
END = {"finished": 60.0, "stopped": 30.0, "failed": 2.0}
"""Seconds that the end of an attempt waits for a copy: within the grace of a pod, not for long while GPUs are held, and after a failure
with the end of the trackers (5 s) less than the launcher's grace (10 s)."""


class CheckpointCopier:
    """Keeps the store as the workspace is: the newest checkpoints first, then the others that are kept; what is not kept is deleted."""

    def __init__(self, open_store: Callable[[], CheckpointCopies], records: Sequence[Path], *, deletes: bool = True) -> None:
        """`open_store` raises what is wrong with the store; `records` are files that each copy has beside the checkpoint.

        `deletes` is False where the store may have copies that could not be looked at when the attempt began: they stay for the next one.
        """
        self._deletes = deletes
        self._open = open_store
        self._records = records
        self._store: CheckpointCopies | None = None
        self._there: set[str] = set()
        """Checkpoints of which the store has at least some files."""
        self._copied: dict[str, str] = {}
        """Addresses of the complete copies, by checkpoint."""
        self._kept: tuple[Checkpoint, ...] = ()
        self._changed = threading.Condition()
        self._news = False
        self._ending = False
        self._problem = ""
        self._shown = False
        self.copying: Path | None = None
        """The checkpoint that is being read: it must not be deleted now, or a slow store would never get one."""
        self._thread = threading.Thread(target=self._work, name="checkpoint-copies", daemon=True)
        self._thread.start()

    def offer(self, kept: Sequence[Checkpoint]) -> None:
        """The checkpoints that there are now, the newest first; returns at once."""
        with self._changed:
            self._kept, self._news = tuple(kept), True
            self._changed.notify()

    def uris(self) -> dict[int, str]:
        """Addresses of the complete copies of these checkpoints, by step."""
        with self._changed:
            copied = [checkpoint for checkpoint in reversed(self._kept) if checkpoint.name in self._copied]  # of one step the newest wins
            return {checkpoint.step: self._copied[checkpoint.name] for checkpoint in copied}

    def end(self, state: str, tick: Callable[[], None] = lambda: None) -> StageWarning | None:
        """Waits for the copy of the newest checkpoint, but not for long; then says what is missing. `tick` is called each second."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        deadline = time.monotonic() + END[state]
        while self._thread.is_alive() and (left := deadline - time.monotonic()) > 0:
            self._thread.join(min(1.0, left))
            tick()
        with self._changed:
            missing = [checkpoint for checkpoint in self._kept if checkpoint.name not in self._copied]
            if not missing:
                return None
            why = self._problem or "the store did not take it in time"
        return StageWarning(code="CheckpointNotCopied", message=f"{STORE_FIELD}: {missing[0].name} has no copy: {why}"[:500])

    def _work(self) -> None:
        done = True
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._news or self._ending, None if done else PAUSE)
                self._news, last = False, self._ending
            done = self._mirrored()
            with self._changed:
                if last and not self._news:
                    return

    def _mirrored(self) -> bool:
        """Whether the store is as the workspace."""
        try:
            if self._store is None:
                self._store = self._opened()
            while (checkpoint := self._next()) is not None:
                self._copy(self._store, checkpoint)
            self._delete(self._store)
        except Exception as exc:
            self._problem = " ".join(str(exc).split()) or type(exc).__name__
            if not self._shown:
                print(f"train: no copy of the checkpoint: {self._problem}; the training goes on, and it is copied later", flush=True)
            self._shown = True
            return False
        self._problem, self._shown = "", False
        return True

    def _opened(self) -> CheckpointCopies:
        """With what earlier attempts left there."""
        store = self._open()
        found = store.found()
        with self._changed:
            kept = self._kept
        seals = {checkpoint.name: store.seal(checkpoint.name, found.get(checkpoint.name, {})) for checkpoint in kept}
        same = [checkpoint for checkpoint in kept if (seal := seals[checkpoint.name]) is not None and seal == seal_of(checkpoint.path)]
        with self._changed:
            self._there = set(found)
            self._copied = {checkpoint.name: store.uri_of(checkpoint.name) for checkpoint in same}
        return store

    def _next(self) -> Checkpoint | None:
        """The newest that has no copy yet."""
        with self._changed:
            missing = (kept for kept in self._kept if kept.name not in self._copied and is_complete(kept.path))
            found = next(missing, None)
            self.copying = found.path if found else None
            return found

    def _copy(self, store: CheckpointCopies, checkpoint: Checkpoint) -> None:
        try:
            self._there.add(checkpoint.name)
            store.copy(checkpoint.name, checkpoint.path, self._records)
        except Exception:
            if is_complete(checkpoint.path):
                raise
            return  # deleted between its choice and its first byte
        finally:
            self.copying = None
        with self._changed:
            self._copied[checkpoint.name] = store.uri_of(checkpoint.name)

    def _delete(self, store: CheckpointCopies) -> None:
        """What is not kept any more, and what lost processes left. Nothing while no checkpoint of this run has a copy."""
        with self._changed:
            kept = {checkpoint.name for checkpoint in self._kept}
            old = [name for name in self._there if name not in kept] if self._deletes and kept & self._copied.keys() else []
        for name in old:
            store.remove(name, store.found().get(name, {}))
            self._there.remove(name)
            with self._changed:
                self._copied.pop(name, None)
