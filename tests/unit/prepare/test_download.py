"""Before anything of a base model is fetched there must be room for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.base.download import BaseDownload
from finetune_trainer.prepare.base.files import BaseFiles
from finetune_trainer.sources.folder import Stored
from finetune_trainer.stage.progress import ProgressPrinter

pytestmark = pytest.mark.unit


class Elsewhere:
    """A folder of a store."""

    local = None

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def files(self) -> dict[str, Stored]:
        """See Folder."""
        return {}

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See Folder."""
        return b""

    def download(self, name: str, target: Path, on_bytes: Callable[[int], None]) -> None:
        """See Folder."""
        self.fetched.append(name)
        target.write_bytes(b"{}")


def test_files_that_only_look_small(tmp_path: Path) -> None:
    """A name that ends with .json says nothing about the size; what is there already needs no room."""
    folder, weights = Elsewhere(), {"model.safetensors": Stored(9)}
    small = {"config.json": Stored(2), "tokenizer.json": Stored(2), "everything.json": Stored(10**18)}
    download = BaseDownload(folder, BaseFiles(small, weights), tmp_path / "base", ProgressPrinter("prepare"), "s3://models/base")
    with pytest.raises(StageFailure, match="the configuration and tokenizer of s3://models/base need") as refused:
        download.small_files()
    assert (refused.value.exit_code, folder.fetched) == (ExitCode.STORAGE_FULL, [])
    del small["everything.json"]
    BaseDownload(folder, BaseFiles(small, weights), tmp_path / "base", ProgressPrinter("prepare"), "s3://models/base").small_files()
    assert folder.fetched == ["config.json", "tokenizer.json"]
