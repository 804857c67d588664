"""What a server lists becomes paths on this machine: only a plain file name does, whatever the server says."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.folder import Stored
from finetune_trainer.sources.store import Store, StoreFolder
from finetune_trainer.sources.subject import Subject

pytestmark = pytest.mark.unit
FOLDER = Path("/workspace/base")


class Server:
    """An fsspec file system whose server says what it likes."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.entries = entries

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        """See fsspec."""
        return list(self.entries)


class Bucket(Store):
    """What all object stores have in common."""

    root, root_words, key, where = "bucket", "the bucket bucket", "model", "https://store.example"
    subject = Subject("s3://bucket/model", "base.source", "BaseModelNotFound")

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.fs = Server(*entries)

    def explain(self, exc: Exception) -> StageFailure:
        """See Store."""
        raise AssertionError from exc


def listed(name: str, size: object = 1) -> dict[str, Stored]:
    """The files of a folder of one entry."""
    return StoreFolder(Bucket({"name": name, "size": size, "type": "file"})).files()


@pytest.mark.parametrize(
    "name",
    [
        "bucket/model/../../../etc/passwd.json",
        "bucket/model/..",
        "bucket/model/.",
        "bucket/model/deep/config.json",
        "bucket/other/config.json",
        "/etc/config.json",
        "bucket/model/a\0.json",
        "bucket/model/" + "n" * 300 + ".json",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """With the server and the name; another attempt would get the same."""
    with pytest.raises(StageFailure, match=r"https://store\.example lists .*, which is not the name of a file in a folder") as refused:
        listed(name)
    assert (refused.value.exit_code, refused.value.error.param) == (ExitCode.INVALID_INPUT, "base.source")


@pytest.mark.parametrize("size", [-1, None, "7", 1.5])
def test_a_size_is_a_number_of_bytes(size: object) -> None:
    """The space for it is counted before it is fetched."""
    with pytest.raises(StageFailure, match=r"with .* bytes"):
        listed("bucket/model/config.json", size)


PIECES = ["..", ".", "/", "//", "a", "config.json", "\0", "bucket/model", " ", "\\", "é", "\n", "%2e%2e"]
PARTS = st.lists(st.sampled_from(PIECES), max_size=6)


@given(st.one_of(st.text(max_size=20), PARTS.map("".join)), st.sampled_from(["", "bucket/model/", "bucket/model", "/"]))
def test_no_listing_leads_out_of_the_folder(name: str, before: str) -> None:
    """Every file that is listed would be written directly into it."""
    try:
        files = listed(before + name)
    except StageFailure:
        return
    for found in files:
        assert (FOLDER / found).parent == FOLDER
        assert PurePosixPath(found).parts == (found,)
