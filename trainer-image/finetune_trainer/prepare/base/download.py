"""Brings the base model into the workspace, once; a local one stays where it is."""

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path

from finetune_trainer.prepare.base.files import BaseFiles, total_bytes
from finetune_trainer.prepare.disk_space import check_space
from finetune_trainer.sources.folder import Folder, Stored
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.workspace.files import COMPLETE, free_bytes, is_complete, mark_complete, sha256_of, write_atomic

LISTING = ".source.json"
"""What the source's folder held when the download began; another listing starts it anew."""


class BaseDownload:
    """The base model's files on this machine: in place, or in the workspace's base folder."""

    def __init__(self, folder: Folder, files: BaseFiles, target: Path, progress: ProgressPrinter, name: str = "the base model") -> None:
        self.folder = folder
        self.files = files
        self.path = folder.local or target
        self.progress = progress
        self.name = name
        self._done = 0
        if folder.local is None:
            self._begin()

    def small_files(self) -> Path:
        """The folder, with configuration, tokenizer and template in it. Raises StageFailure where they do not fit: only their names
        say that they are small."""
        missing = self._missing_of(self.files.small)
        if missing:
            check_space(missing, free_bytes(self.path), f"the configuration and tokenizer of {self.name} need")
        self._bring(self.files.small)
        return self.path

    def weights(self) -> Path:
        """The folder, with everything in it."""
        self._bring(self.files.weights)
        if self.folder.local is None and not is_complete(self.path):
            mark_complete(self.path)
        return self.path

    @property
    def missing_bytes(self) -> int:
        """Bytes that are still to be downloaded."""
        return self._missing_of(self.files.all)

    def digest(self) -> str:
        """sha256 over the lines "<sha256>  <name>" of the files, sorted by name."""
        lines = []
        for number, name in enumerate(self.files.all, start=1):
            tick = partial(self.progress.show, f"computing the base model's digest: file {number} of {len(self.files.all)}")
            lines.append(f"{sha256_of(self.path / name, tick)}  {name}\n")
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _missing_of(self, files: dict[str, Stored]) -> int:
        return total_bytes({name: stored for name, stored in files.items() if not self._have(name, stored)})

    def _begin(self) -> None:
        listing = json.dumps({name: [stored.size, stored.version] for name, stored in self.files.all.items()}, indent=1)
        path = self.path / LISTING
        if not path.exists() or path.read_text() != listing:
            shutil.rmtree(self.path, ignore_errors=True)
            write_atomic(path, listing)

    def _bring(self, files: dict[str, Stored]) -> None:
        for name, stored in files.items():
            if not self._have(name, stored):
                (self.path / COMPLETE).unlink(missing_ok=True)
                self.folder.download(name, self.path / name, self._arrived)

    def _have(self, name: str, stored: Stored) -> bool:
        path = self.path / name
        return self.folder.local is not None or (path.exists() and path.stat().st_size == stored.size)

    def _arrived(self, count: int) -> None:
        self._done += count
        total = total_bytes(self.files.all)
        self.progress.show(f"downloading the base model: {self._done / 1e6:,.0f} of {total / 1e6:,.0f} MB")
