"""Copies of a job's checkpoints in an object store: complete or absent, as in the workspace.

URI/NAMESPACE/JOB/UID/attempt-1/checkpoint-10/ has the files of that checkpoint and the records of the training up to then. Its seal is
written last and deleted first, so a copy without one is what a lost process left. Knows objects, not what is in them.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from finetune_api.resources.learning import CheckpointStore
from finetune_api.run_config import RunConfig, RunSource
from finetune_trainer.failure import invalid
from finetune_trainer.sources.open import open_store, scheme_of
from finetune_trainer.sources.store import Store
from finetune_trainer.sources.subject import Subject
from finetune_trainer.workspace.checksums import damage
from finetune_trainer.workspace.files import COMPLETE
from finetune_trainer.workspace.sealed import Seal, seal_files
from finetune_trainer.workspace.workspace import CHECKPOINT_NAME

STORE_FIELD = "checkpoints.store.uri"
PROBE = "writable"


def open_checkpoint_store(config: RunConfig, settings: CheckpointStore) -> "CheckpointCopies":
    """The folder of this job; raises StageFailure in the user's words for settings that cannot be used."""
    job = config.job
    if not job.uid:
        says = (
            "a job without a uid has no folder of its own, and could take another one's copies; leave checkpoints.store out, or set job.uid"
        )
        raise invalid("CheckpointStoreNeedsUid", says, param=STORE_FIELD)
    source = RunSource(uri=settings.uri.rstrip("/"), env_prefix=settings.env_prefix)
    subject = Subject(source.name, STORE_FIELD, "StoreNotFound", access="write")
    store = open_store(scheme_of(source, subject), source.uri, source, subject, config.network)
    below = "/".join(part for part in (job.namespace, job.name, job.uid) if part)
    return CheckpointCopies(store, f"{store.key}/{below}".strip("/"), f"{source.uri}/{below}")


@dataclass(frozen=True)
class CheckpointCopies:
    """The copies of one job, by the names of checkpoints in the workspace: attempt-1/checkpoint-10. Methods raise StageFailure."""

    store: Store
    folder: str
    uri: str
    """Address of the folder."""

    def uri_of(self, name: str) -> str:
        """Address of a copy."""
        return f"{self.uri}/{name}"

    def check(self) -> None:
        """Raises StageFailure unless objects can be written, listed and deleted: found out before anything is trained."""
        key = f"{self.folder}/{PROBE}"
        self.store.write(key, b"finetune-operator deletes this object again\n")
        self.store.sizes(self.folder)
        self.store.remove(key)

    def found(self) -> dict[str, dict[str, int]]:
        """Bytes of the files of every copy, complete or not, by the checkpoint's name."""
        copies: dict[str, dict[str, int]] = {}
        for key, size in self.store.sizes(self.folder).items():
            attempt, _, rest = key.partition("/")
            checkpoint, _, file = rest.partition("/")
            if file and CHECKPOINT_NAME.fullmatch(f"{attempt}/{checkpoint}"):  # anything else is not this job's to delete
                copies.setdefault(f"{attempt}/{checkpoint}", {})[file] = size
        return copies

    def copy(self, name: str, directory: Path, records: Iterable[Path]) -> None:
        """Writes a sealed checkpoint and the records beside it."""
        seal = Seal.from_json((directory / COMPLETE).read_bytes())
        self.store.remove(self._key(name, COMPLETE))
        for file in seal.files:
            self.store.upload(directory / file, self._key(name, file))
        for record in records:
            if record.exists():
                self.store.write(self._key(name, record.name), record.read_bytes())
        self.store.write(self._key(name, COMPLETE), seal.to_json().encode())

    def seal(self, name: str, files: Mapping[str, int]) -> Seal | None:
        """The seal of a copy; None if it is not complete."""
        if COMPLETE not in files:
            return None
        try:
            seal = Seal.from_json(self.store.read(self._key(name, COMPLETE), 0, files[COMPLETE]))
        except ValueError:
            return None
        inside = all(not PurePosixPath(file).is_absolute() and ".." not in PurePosixPath(file).parts for file in seal.files)
        return seal if inside and all(files.get(file) == sum.size_bytes for file, sum in seal.files.items()) else None

    def fetch(self, name: str, seal: Seal, directory: Path, records: Iterable[Path], on_bytes: Callable[[int], None]) -> str:
        """Brings a copy back, and the records that are not there; returns why it cannot be used, or nothing."""
        for file in seal.files:
            self.store.download(self._key(name, file), directory / file, on_bytes)
        if why := damage(directory, seal.files, lambda: on_bytes(0)):
            return why
        for record in records:
            if not record.exists() and self.store.size(self._key(name, record.name)) is not None:
                self.store.download(self._key(name, record.name), record, on_bytes)
        seal_files(directory, seal.owner, seal.files)
        return ""

    def remove(self, name: str, files: Iterable[str]) -> None:
        """Deletes a copy, its seal first."""
        for file in sorted(files, key=lambda file: file != COMPLETE):
            self.store.remove(self._key(name, file))

    def remove_all(self, seconds: float) -> None:
        """Deletes what the job has there; raises TimeoutError if that takes longer."""
        end = time.monotonic() + seconds
        for name, files in self.found().items():
            self.remove(name, files)
            if time.monotonic() > end:
                raise TimeoutError(f"{self.uri}: its copies were not deleted within {seconds:g} s")

    def _key(self, name: str, file: str) -> str:
        return f"{self.folder}/{name}/{file}"
