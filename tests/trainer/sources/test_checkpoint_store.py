"""Copies of checkpoints, in each object store."""

from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunConfig
from finetune_trainer.checkpoint_store import CheckpointCopies, open_checkpoint_store
from finetune_trainer.failure import StageFailure
from finetune_trainer.workspace.sealed import damage_of, seal
from tests.trainer.sources.places import Place, S3Place
from tests.unit.sources.web_server import Answer, serving

pytestmark = [
    pytest.mark.trainer,
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),  # what the clients of Google and Azure do
]
NAME = "attempt-2/checkpoint-30"
LARGE = bytes(range(256)) * (6 << 12)
"""6 MiB: written in several parts by some stores."""


@pytest.fixture
def secret(place: Place, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The Secret, in the environment of a stage."""
    if place.scheme == "hf":
        pytest.skip("the Hub keeps no checkpoints")
    monkeypatch.setattr(f"finetune_trainer.sources.{place.scheme}.READ_SECONDS", 20)  # of an upload, on a busy machine
    put_into(monkeypatch, place.keys())
    return place.keys()


def put_into(monkeypatch: pytest.MonkeyPatch, keys: dict[str, str]) -> None:
    """What the pod has from the Secret."""
    for name, value in keys.items():
        monkeypatch.setenv(f"FINETUNE_CHECKPOINTS_{name}", value)


def copies_of(place: Place, uid: str = "1f") -> CheckpointCopies:
    """Those of a job."""
    store = {"uri": f"{place.scheme}://{place.root}/safe", "credentials": {"secretRef": {"name": "keys"}}}
    config = RunConfig.model_validate(
        {
            "job": {"name": "tune", "namespace": "team", "uid": uid},
            "base": {"source": {"uri": "unused"}},
            "dataset": {"train": {"uri": "unused"}},
            "checkpoints": {"store": store},
            "outputModel": "model",
        }
    )
    assert config.checkpoints.store is not None
    return open_checkpoint_store(config, config.checkpoints.store)


def checkpoint(root: Path) -> Path:
    """A sealed one."""
    directory = root / NAME
    (directory / "shards").mkdir(parents=True)
    (directory / "shards" / "0.safetensors").write_bytes(LARGE)
    (directory / "trainer_state.json").write_bytes(b"{}")
    seal(directory, "owner")
    (root / "metrics.csv").write_bytes(b"step\n1\n")
    return directory


def test_a_copy_comes_back_as_it_was(place: Place, secret: dict[str, str], tmp_path: Path) -> None:
    """With its records; another job's are not seen, and after its removal nothing is left."""
    directory, records = checkpoint(tmp_path / "before"), [tmp_path / "before" / "metrics.csv", tmp_path / "before" / "run-id"]
    copies = copies_of(place)
    copies.check()
    assert copies.found() == {}, "what the check has written is gone"
    copies.copy(NAME, directory, records)
    copies.copy(NAME, directory, records)
    assert copies_of(place, "2f").found() == {}
    ((name, files),) = copies.found().items()
    assert (name, files["shards/0.safetensors"]) == (NAME, len(LARGE))
    found = copies.seal(name, files)
    assert found is not None
    after = tmp_path / "after" / NAME
    assert copies.fetch(name, found, after, [tmp_path / "after" / path.name for path in records], lambda _: None) == ""
    assert damage_of(after, "owner") == ""
    assert (tmp_path / "after" / "metrics.csv").read_bytes() == b"step\n1\n"
    assert not (tmp_path / "after" / "run-id").exists()
    assert copies.uri_of(name) == f"{place.scheme}://{place.root}/safe/team/tune/1f/{NAME}"
    copies.remove_all(60)
    assert copies.found() == {}


def test_objects_that_are_no_copies_stay(place: Place, secret: dict[str, str], tmp_path: Path) -> None:
    """The folder may have other things in it."""
    copies = copies_of(place)
    copies.copy(NAME, checkpoint(tmp_path), [])
    place.put("safe/team/tune/1f/notes/2026/plan.txt", b"plan")
    copies.remove_all(60)
    assert copies.found() == {}
    assert copies.store.size("safe/team/tune/1f/notes/2026/plan.txt") == 4


def test_a_job_without_uid_is_refused(place: Place, secret: dict[str, str]) -> None:
    """Its folder would hold those of all jobs of its name."""
    with pytest.raises(StageFailure, match="job without a uid") as refused:
        copies_of(place, "")
    assert refused.value.error.param == "checkpoints.store.uri"


def test_what_is_not_whole_is_no_copy(place: Place, secret: dict[str, str], tmp_path: Path) -> None:
    """Without its seal, with a file of another size, or with a name that leaves the workspace."""
    copies = copies_of(place)
    copies.copy(NAME, checkpoint(tmp_path), [])
    folder = f"safe/team/tune/1f/{NAME}"
    (files,) = copies.found().values()
    assert copies.seal(NAME, {name: size for name, size in files.items() if name != ".complete"}) is None
    place.put(f"{folder}/trainer_state.json", b"{")
    assert copies.seal(NAME, copies.found()[NAME]) is None
    place.put(f"{folder}/.complete", b'{"owner": "owner", "files": {"../../x": {"sizeBytes": 1}}}')
    assert copies.seal(NAME, copies.found()[NAME] | {"../../x": 1}) is None


def test_a_store_that_cannot_be_written_is_found_out_before_the_training(
    place: Place, secret: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the field, and says what the Secret must allow; a missing bucket is not made."""
    with serving() as server:
        server.otherwise = Answer(403, b'{"error": {"code": 403, "message": "no"}}', {"Content-Type": "application/json"})
        put_into(monkeypatch, place.keys_of(server.port))
        with pytest.raises(StageFailure) as denied:
            copies_of(place).check()
    assert (denied.value.exit_code, denied.value.error.code) == (ExitCode.INVALID_INPUT, "AccessDenied")
    assert denied.value.error.param == "checkpoints.store.uri"
    assert "write" in denied.value.error.message or place.scheme == "abfs"
    put_into(monkeypatch, secret)
    if isinstance(place, S3Place):
        place.root = "nowhere"
        with pytest.raises(StageFailure) as missing:
            copies_of(place).check()
        assert missing.value.error.param == "checkpoints.store.uri"
        assert missing.value.exit_code == ExitCode.INVALID_INPUT
