"""What every object store has in common, each against a real server: files, folders, and the words for what goes wrong."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunSource
from finetune_trainer.failure import StageFailure
from finetune_trainer.sources.folder import Folder
from finetune_trainer.sources.open import fetch_file, open_folder
from finetune_trainer.sources.subject import Subject
from tests.trainer.sources.cutter import cutting
from tests.trainer.sources.places import Place, S3Place
from tests.unit.sources.web_server import Answer, serving

ROWS = b'{"messages": []}\n' * 100
LARGE = bytes(range(256)) * (40 << 12)
"""40 MiB: file systems fetch it in several parts."""


class Source:
    """A Secret in the environment, and the sources that use it."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.place = place
        self.monkeypatch = monkeypatch
        self.target = folder / "downloads" / "train"
        self.room: list[int] = []
        self.arrived = 0
        self.full = False
        self.secret(place.keys())

    def secret(self, keys: dict[str, str]) -> None:
        """What the pod has from the Secret."""
        for name, value in keys.items():
            self.monkeypatch.setenv(f"FINETUNE_TRAIN_{name}", value)

    def uri(self, key: str) -> str:
        """Address of an object."""
        return f"{self.place.scheme}://{self.place.root}/{key}"

    def fetch(self, key: str) -> bytes:
        """A file's bytes, by way of its download."""
        source = RunSource(uri=self.uri(key), env_prefix="FINETUNE_TRAIN_")
        subject = Subject(source.name, "dataset.train.source", "DataNotFound")
        return fetch_file(source, subject, self.target, self.check_space, self.count).read_bytes()

    def check_space(self, size: int) -> None:
        """Hears what is about to arrive."""
        self.room.append(size)
        if self.full:
            raise StageFailure(ExitCode.STORAGE_FULL, "StorageFull", f"no room for {size}")

    def count(self, number: int) -> None:
        """Hears what arrives."""
        self.arrived += number

    def folder(self, key: str) -> Folder:
        """A folder."""
        source = RunSource(uri=self.uri(key), env_prefix="FINETUNE_TRAIN_")
        return open_folder(source, Subject(source.name, "base.source", "BaseModelNotFound"))

    def failure(self, key: str) -> StageFailure:
        """What fetching ends with."""
        with pytest.raises(StageFailure) as caught:
            self.fetch(key)
        assert caught.value.error.param == "dataset.train.source"
        assert caught.value.error.message.startswith(self.uri(key))
        assert not self.target.exists()
        return caught.value


@pytest.fixture
def source(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Source:
    """Two files, and the Secret that opens them."""
    place.put("data/train.jsonl", ROWS)
    place.put("data/validation.jsonl", ROWS[:17])
    return Source(place, monkeypatch, tmp_path)


@pytest.mark.parametrize("content", [ROWS, LARGE, b""], ids=["small", "large", "empty"])
def test_a_file_arrives_as_it_is(source: Source, content: bytes) -> None:
    """Room is asked for before, every byte is counted, and nothing is left beside it."""
    source.place.put("data/train.jsonl", content)
    assert source.fetch("data/train.jsonl") == content
    assert (source.room, source.arrived) == ([len(content)], len(content))
    assert [path.name for path in source.target.parent.iterdir()] == ["train"]


def test_a_missing_object_is_told_with_the_names_beside_it(source: Source) -> None:
    """A typing error is found at a glance."""
    failure = source.failure("data/trian.jsonl")
    assert (failure.exit_code, failure.error.code) == (ExitCode.INVALID_INPUT, "DataNotFound")
    folder = source.uri("data")
    assert f"object not found; the folder {folder} holds: train.jsonl, validation.jsonl" in failure.error.message


def test_a_missing_folder_of_an_object(source: Source) -> None:
    """The first folder above it that is there is shown."""
    failure = source.failure("dat/deeper/train.jsonl")
    assert failure.error.code == "DataNotFound"
    assert f"object not found; {source.place.holder}" in failure.error.message
    assert failure.error.message.endswith(" holds: data")


def test_a_folder_is_no_file(source: Source) -> None:
    """Its files are named."""
    failure = source.failure("data")
    assert failure.error.code == "DataNotFound"
    assert "this is a folder, but a file is required" in failure.error.message
    assert "data/train.jsonl" in failure.error.message
    assert f"; {source.place.holder}" in failure.error.message


def test_a_missing_bucket_is_not_a_missing_object(source: Source) -> None:
    """Its name and the server's address are what is wrong."""
    root = source.place.root = source.place.root[:-1] + "-other"
    failure = source.failure("data/train.jsonl")
    assert (failure.exit_code, failure.error.code) == (ExitCode.INVALID_INPUT, "DataNotFound")
    assert source.place.root_words.format(root.removeprefix("datasets/")) in failure.error.message
    assert source.place.where in failure.error.message


def test_wrong_keys(source: Source) -> None:
    """A key that the server does not know is distinguished from an object that is not there."""
    source.secret(source.place.wrong_keys())
    try:
        failure = source.failure("data/train.jsonl")
    finally:
        if isinstance(source.place, S3Place):
            source.place.check_keys(False)
    assert (failure.exit_code, failure.error.code) == (ExitCode.INVALID_INPUT, "AccessDenied")
    assert "in the Secret" in failure.error.message


@contextmanager
def busy() -> Iterator[int]:
    """Port of a server that is overloaded."""
    with serving() as server:
        server.otherwise = Answer(503)
        yield server.port


@contextmanager
def silent() -> Iterator[int]:
    """Port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def closed() -> Iterator[int]:
    """A port on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield port


@pytest.mark.parametrize("server", [busy, silent, closed])
def test_a_server_that_does_not_answer_may_be_asked_again_later(source: Source, server: type) -> None:
    """Attempts are bounded; then the stage ends with the code that lets the operator try again."""
    with server() as port:
        source.secret(source.place.keys_of(port))
        failure = source.failure("data/train.jsonl")
    assert (failure.exit_code, failure.error.code) == (ExitCode.SOURCE_UNAVAILABLE, "SourceUnavailable")
    assert f"cannot be reached: http://127.0.0.1:{port}" in failure.error.message


def test_a_connection_that_always_breaks_off(source: Source) -> None:
    """Half a file is no file; the operator tries again later."""
    source.place.put("data/train.jsonl", LARGE)
    with cutting(source.place.where, after=1 << 20, times=1000) as cutter:
        source.secret(source.place.keys_of(cutter.port))
        failure = source.failure("data/train.jsonl")
    assert (failure.exit_code, failure.error.code) == (ExitCode.SOURCE_UNAVAILABLE, "SourceUnavailable")


def test_a_connection_that_breaks_off_once(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is whole nevertheless."""
    for module in ("s3", "gs", "abfs", "hf"):
        monkeypatch.setattr(f"finetune_trainer.sources.{module}.ATTEMPTS", 3)
    monkeypatch.setattr("finetune_trainer.sources.s3.ROUNDS", 2)
    source.place.put("data/train.jsonl", LARGE)
    with cutting(source.place.where, after=1 << 20, times=1) as cutter:
        source.secret(source.place.keys_of(cutter.port))
        assert source.fetch("data/train.jsonl") == LARGE
        assert cutter.cuts == 1


DENIED = {"s3": "may not read it", "gs": "GOOGLE_APPLICATION_CREDENTIALS_JSON", "abfs": "in the Secret", "hf": "HF_TOKEN"}


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_denies(source: Source, status: int) -> None:
    """The words say what the Secret must have, or what its owner must be allowed."""
    with serving() as server:
        server.otherwise = Answer(status, b'{"error": {"code": %d, "message": "no"}}' % status, {"Content-Type": "application/json"})
        source.secret(source.place.keys_of(server.port))
        failure = source.failure("data/train.jsonl")
    assert (failure.exit_code, failure.error.code) == (ExitCode.INVALID_INPUT, "AccessDenied")
    words = "Storage Object Viewer" if (source.place.scheme, status) == ("gs", 403) else DENIED[source.place.scheme]
    assert words in failure.error.message


def test_a_full_disk_is_noticed_before_the_download(source: Source) -> None:
    """Nothing is fetched that cannot be stored."""
    source.full = True
    with pytest.raises(StageFailure, match="no room for 1700"):
        source.fetch("data/train.jsonl")
    assert source.arrived == 0


def test_a_folder_is_listed_read_and_downloaded(source: Source, tmp_path: Path) -> None:
    """As the checks of a base model do; folders below it are not looked at."""
    if source.place.scheme == "hf":
        pytest.skip("a model's address on the Hub has no folder")
    source.place.put("data/deeper/file", b"x")
    source.place.put("database/file", b"x")
    folder = source.folder("data")
    files = folder.files()
    assert {name: stored.size for name, stored in files.items()} == {"train.jsonl": len(ROWS), "validation.jsonl": 17}
    assert folder.read("train.jsonl", 3, 8) == ROWS[3:11]
    assert folder.read("validation.jsonl", 10, 100) == ROWS[10:17]
    folder.download("train.jsonl", tmp_path / "train.jsonl", source.count)
    assert (tmp_path / "train.jsonl").read_bytes() == ROWS
    source.place.put("data/train.jsonl", ROWS[::-1])
    changed = folder.files()
    assert changed["train.jsonl"].version != files["train.jsonl"].version
    assert changed["validation.jsonl"] == files["validation.jsonl"]


def test_a_missing_folder_is_told_with_the_names_beside_it(source: Source) -> None:
    """As a missing file is."""
    if source.place.scheme == "hf":
        pytest.skip("a model's address on the Hub has no folder")
    with pytest.raises(StageFailure, match=f"folder not found; {source.place.holder} holds: data") as caught:
        source.folder("dta").files()
    assert (caught.value.error.code, caught.value.error.param) == ("BaseModelNotFound", "base.source")
