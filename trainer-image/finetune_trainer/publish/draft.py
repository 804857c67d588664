"""The model directory while it is being written: everything lies in a hidden folder of the same volume, and is moved
into place by renames when it is done. MANIFEST.json comes last, so a killed publish leaves nothing that looks like a model."""

import contextlib
import copy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from finetune_api.dataset_report import REPORT_FILE
from finetune_api.model_directory import CHECKPOINTS_FOLDER, MANIFEST_FILE, Manifest, checkpoint_folder
from finetune_trainer.artifacts import ARTIFACTS
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.stage import interruption
from finetune_trainer.workspace.files import sync_directory, sync_tree, write_atomic

OTHER_FILES = (REPORT_FILE, "metrics.csv", "runs", "README.md", CHECKPOINTS_FOLDER)
"""Beside the folders of the artifacts."""
DRAFT = ".publishing"


@dataclass(frozen=True)
class Identity:
    """Two runs of the same identity make the same model."""

    spec_digest: str
    base_digest: str
    dataset_digest: str

    def line(self) -> str:
        """The content of the file that names the owner of a draft."""
        return f"{self.spec_digest} {self.base_digest} {self.dataset_digest}"


class Draft:
    """A model directory that does not exist yet."""

    def __init__(self, root: Path, identity: Identity) -> None:
        self.root = root
        self.identity = identity
        self.folder = root / DRAFT
        self.files = self.folder / "files"
        """What will be moved to `root`."""
        self.scratch = self.folder / "scratch"
        self.owner = self.folder / "owner"
        self.place = ""
        """Of `files` in the model directory: "checkpoints/step-40/" for a part."""

    def finished(self) -> Manifest | None:
        """The manifest that an earlier attempt of the same model wrote, or None; refuses to touch another model."""
        path = self.root / MANIFEST_FILE
        if not path.exists():
            return None
        manifest = read_manifest(path)
        lineage = manifest.lineage
        if lineage is None or Identity(lineage.spec_digest, lineage.base_digest, lineage.dataset_digest) != self.identity:
            job = f"job {lineage.job}" if lineage else "another job"
            raise output_exists(f"{self.root} already holds the model {manifest.model} of {job}")
        shutil.rmtree(self.folder, ignore_errors=True)
        return manifest

    def begin(self) -> None:
        """Makes an empty draft; removes what a killed attempt of the same model left, and nothing else."""
        folders = dict.fromkeys(artifact.folder.partition("/")[0] for artifact in ARTIFACTS.values())
        present = [name for name in (*folders, *OTHER_FILES) if (self.root / name).exists()]
        owner = self.owner.read_text() if self.owner.exists() else None
        if owner not in (None, self.identity.line()) or (present and owner is None):
            what = ", ".join(present) or "an incomplete model"
            raise output_exists(f"{self.root} holds {what}, which this job did not write")
        for name in present:
            remove(self.root / name)
        for path in (self.files, self.scratch):
            shutil.rmtree(path, ignore_errors=True)
        write_atomic(self.owner, self.identity.line())
        self.files.mkdir()
        self.scratch.mkdir()

    def of_checkpoint(self, step: int) -> "Draft":
        """The part of it that is going to be the model directory of a checkpoint; empty. Kills are counted for all
        checkpoints together: they need the same memory."""
        part = copy.copy(self)
        part.files = self.files / checkpoint_folder(step)
        part.place = f"{checkpoint_folder(step)}/"
        part.files.mkdir(parents=True)
        return part

    def clear(self) -> None:
        """Removes what has been written."""
        for path in (self.files, self.scratch):
            shutil.rmtree(path, ignore_errors=True)
        self.scratch.mkdir()

    def killed_exports(self, work: str) -> int:
        """How many attempts were killed during this work, the export of an artifact or the weights of a checkpoint:
        mostly because memory ran out, which no process can report itself."""
        path = self._kills(work)
        return int(path.read_text()) if path.exists() else 0

    @contextlib.contextmanager
    def exporting(self, work: str) -> Iterator[None]:
        """Counts this attempt as killed until the work has succeeded or failed."""
        before = self.killed_exports(work)
        write_atomic(self._kills(work), str(before + 1))
        try:
            yield
        finally:
            write_atomic(self._kills(work), str(before))

    def _kills(self, work: str) -> Path:
        return self.folder / f"killed-{'checkpoint-' if self.place else ''}{work}"

    def commit(self, manifest: Manifest) -> None:
        """Moves the files into place and writes the manifest, in this order also on disk. From the first move on SIGTERM is too late."""
        for path in self.files.rglob("*"):  # safetensors makes files for their owner's eyes; servers run as other users
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))
        sync_tree(self.files)
        interruption.last_check()
        for path in sorted(self.files.iterdir()):
            path.rename(self.root / path.name)
        sync_directory(self.root)
        write_atomic(self.root / MANIFEST_FILE, manifest.to_json(indent=2))
        shutil.rmtree(self.folder, ignore_errors=True)


def read_manifest(path: Path) -> Manifest:
    """Raises StageFailure for a manifest that this version cannot read."""
    try:
        return Manifest.from_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise output_exists(f"{path} exists and cannot be read ({type(exc).__name__})") from exc


def output_exists(what: str) -> StageFailure:
    """Bytes of another model are never overwritten."""
    return invalid("OutputExists", f"{what}: choose another output.model, or an empty model directory", param="output.model")


def remove(path: Path) -> None:
    """Deletes a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
