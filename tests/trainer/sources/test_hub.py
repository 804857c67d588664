"""What is particular to the Hugging Face Hub: revisions, models, private and gated repositories, and who may go online."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import OfflineModeIsEnabled

from finetune_api.run_config import RunSource
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.base.files import choose_files
from finetune_trainer.prepare.main import prepare
from finetune_trainer.sources.folder import Folder
from finetune_trainer.sources.open import fetch_file, open_folder
from finetune_trainer.sources.subject import Subject
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace
from tests.trainer.sources.hub_server import HubServer
from tests.unit.data.rows.samples import good
from tests.unit.prepare.base_folder import make_base
from tests.unit.prepare.run import run_config

ROWS = b'{"messages": []}\n' * 100


@pytest.fixture(autouse=True)
def _secret(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_HF_ENDPOINT", hub.endpoint)


def fetch(uri: str, folder: Path) -> bytes:
    """A file's bytes."""
    source = RunSource(uri=uri, env_prefix="DATA_")
    subject = Subject(uri, "dataset.train.source", "DataNotFound")
    return fetch_file(source, subject, folder / "train", lambda size: None, lambda count: None).read_bytes()


def failure(uri: str, folder: Path) -> StageFailure:
    """What fetching ends with."""
    with pytest.raises(StageFailure) as caught:
        fetch(uri, folder)
    return caught.value


def model(uri: str) -> Folder:
    """A repository as the folder of a base model."""
    return open_folder(RunSource(uri=uri, env_prefix="DATA_"), Subject(uri, "base.source", "BaseModelNotFound"))


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub: HubServer, tmp_path: Path) -> None:
    """Without one it is main."""
    repository = hub.repository("datasets/owner/rows")
    first = repository.commit({"train.jsonl": b"first"})
    repository.commit({"train.jsonl": b"second"})
    repository.commit({"train.jsonl": b"parquet"}, "refs/convert/parquet")
    for revision, content in (("", b"second"), ("@main", b"second"), (f"@{first}", b"first"), ("@refs/convert/parquet", b"parquet")):
        assert fetch(f"hf://datasets/owner/rows{revision}/train.jsonl", tmp_path) == content


def test_a_branch_that_moves_meanwhile(hub: HubServer, tmp_path: Path) -> None:
    """The commit is decided once: files of two versions are never mixed."""
    hub.repository("datasets/owner/rows").commit({"train.jsonl": ROWS})
    hub.moves_during_download = True
    assert fetch("hf://datasets/owner/rows/train.jsonl", tmp_path) == ROWS


def test_a_repository_is_no_file(hub: HubServer, tmp_path: Path) -> None:
    """Its data files are named, in folders and packed ones too; a card is none."""
    files = {"README.md": b"", "data/train.jsonl": b"", "data/test.parquet": b"", "all.csv.gz": b""}
    hub.repository("datasets/owner/rows").commit(files)
    found = failure("hf://datasets/owner/rows", tmp_path).error
    assert (found.code, found.param) == ("DataNotFound", "dataset.train.source")
    assert "write hf://datasets/owner/rows/PATH; its data files are data/train.jsonl, data/test.parquet, all.csv.gz" in found.message


def test_a_repository_without_data_files(hub: HubServer, tmp_path: Path) -> None:
    """It may be one with a script, which is not run."""
    hub.repository("datasets/owner/rows").commit({"README.md": b"", "rows.py": b""})
    assert "it has none of .jsonl, .json, .csv" in failure("hf://datasets/owner/rows@main", tmp_path).error.message


def test_a_missing_revision(hub: HubServer, tmp_path: Path) -> None:
    """It is named apart from a missing repository."""
    hub.repository("datasets/owner/rows").commit({"train.jsonl": ROWS})
    found = failure("hf://datasets/owner/rows@v9/train.jsonl", tmp_path).error
    assert found.code == "DataNotFound"
    assert "the repository owner/rows has no revision v9" in found.message


@pytest.mark.parametrize(
    ("token", "words"), [("", "or it is private: name a Secret with HF_TOKEN"), ("other", "check HF_TOKEN"), ("hf_1", "")]
)
def test_a_private_repository(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, words: str) -> None:
    """The Hub does not say that it is there, to anybody who may not see it."""
    hub.repository("datasets/owner/rows").commit({"train.jsonl": ROWS})
    hub.repository("datasets/owner/rows").token = "hf_1"
    monkeypatch.setenv("DATA_HF_TOKEN", token)
    uri = "hf://datasets/owner/rows/train.jsonl"
    if not words:
        assert fetch(uri, tmp_path) == ROWS
    else:
        found = failure(uri, tmp_path).error
        assert found.code == "DataNotFound"
        assert words in found.message


def test_a_gated_repository(hub: HubServer, tmp_path: Path) -> None:
    """The page where its conditions are accepted is named."""
    hub.repository("datasets/owner/rows").commit({"train.jsonl": ROWS})
    hub.repository("datasets/owner/rows").gated = True
    found = failure("hf://datasets/owner/rows/train.jsonl", tmp_path).error
    assert found.code == "AccessDenied"
    assert f"accept its conditions at {hub.endpoint}/datasets/owner/rows and name a Secret with HF_TOKEN" in found.message


def test_a_model_of_the_hub_is_a_folder(hub: HubServer, tmp_path: Path) -> None:
    """Its files are chosen, read and downloaded as those of any other store."""
    base = make_base(tmp_path / "base")
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    hub.repository("models/owner/tiny").commit({**files, ".gitattributes": b"", "README.md": b"", "onnx/model.onnx": b"x"})
    folder = model("hf://owner/tiny@main")
    chosen = choose_files(folder, Subject("hf://owner/tiny@main", "base.source", "BaseModelNotFound"))
    assert set(chosen.all) == set(files)
    assert folder.read("model.safetensors", 8, 20) == files["model.safetensors"][8:28]
    arrived: list[int] = []
    folder.download("model.safetensors", tmp_path / "copy", arrived.append)
    assert (tmp_path / "copy").read_bytes() == files["model.safetensors"]
    assert sum(arrived) == len(files["model.safetensors"])


def test_a_model_of_the_hub_as_pickles(hub: HubServer) -> None:
    """Refused before anything of it is downloaded."""
    hub.repository("models/owner/old").commit({"config.json": b"{}", "tokenizer.json": b"{}", "pytorch_model.bin": b"x"})
    with pytest.raises(StageFailure, match="has its weights as pickles") as caught:
        choose_files(model("hf://owner/old"), Subject("hf://owner/old", "base.source", "BaseModelNotFound"))
    assert caught.value.error.code == "BaseModelUnsupported"
    assert not any("/resolve/" in path for path in hub.asked)


def test_prepare_with_data_and_model_of_the_hub(hub: HubServer, tmp_path: Path) -> None:
    """What the stage decides is what it decides from local files; the model is in the workspace, for the stages after it."""
    base = make_base(tmp_path / "base")
    rows = b"\n".join(map(good, range(40)))
    (tmp_path / "train.jsonl").write_bytes(rows)
    local = prepare(run_config(tmp_path, paths={"workspace": str(tmp_path / "local")}), 1).prepare
    hub.repository("models/owner/tiny").commit({path.name: path.read_bytes() for path in base.iterdir()})
    hub.repository("datasets/owner/rows").commit({"data/train.jsonl": rows})
    settings = {
        "base": {"source": {"uri": "hf://owner/tiny", "envPrefix": "DATA_"}},
        "dataset": {"train": {"uri": "hf://datasets/owner/rows/data/train.jsonl", "envPrefix": "DATA_"}, "split": {}},
    }
    remote = prepare(run_config(tmp_path, **settings), 1).prepare
    assert local is not None
    assert remote is not None
    assert (remote.dataset.digest, remote.base_digest) == (local.dataset.digest, local.base_digest)
    assert Prepared.from_json(Workspace(tmp_path / "workspace").prepared.read_bytes()).base_path == str(tmp_path / "workspace" / "base")


def test_a_missing_model(hub: HubServer) -> None:
    """In the words of base.source."""
    with pytest.raises(StageFailure, match="there is no model repository owner/tiny") as caught:
        model("hf://owner/tiny").files()
    assert (caught.value.error.code, caught.value.error.param) == ("BaseModelNotFound", "base.source")


def test_only_what_the_spec_names_goes_online(hub: HubServer, tmp_path: Path) -> None:
    """Before and after, and after a failure, the library is offline."""
    hub.repository("datasets/owner/rows").commit({"train.jsonl": ROWS})
    api = HfApi(endpoint=hub.endpoint)
    assert fetch("hf://datasets/owner/rows/train.jsonl", tmp_path) == ROWS
    failure("hf://datasets/owner/other/train.jsonl", tmp_path)
    asked = len(hub.asked)
    with pytest.raises(OfflineModeIsEnabled):
        api.dataset_info("owner/rows")
    assert len(hub.asked) == asked


def test_the_stage_image_is_offline_and_fetches_nevertheless(hub: HubServer, tmp_path: Path) -> None:
    """HF_HUB_OFFLINE is read once, when the library is imported: in a process of its own, as a pod has it."""
    hub.repository("datasets/owner/rows").commit({"train.jsonl": ROWS})
    uri = "hf://datasets/owner/rows/train.jsonl"
    program = f"""
from pathlib import Path
from finetune_api.run_config import RunSource
from finetune_trainer.sources.open import fetch_file
from finetune_trainer.sources.subject import Subject
fetch_file(RunSource(uri={uri!r}, env_prefix="DATA_"), Subject({uri!r}, "p", "c"), Path({str(tmp_path / "train")!r}), print, print)
import sys
assert not {{"torch", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert (tmp_path / "train").read_bytes() == ROWS


def test_proxies_of_the_environment_are_not_used(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every other source."""
    hub.repository("datasets/owner/rows").commit({"train.jsonl": ROWS})
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert fetch("hf://datasets/owner/rows/train.jsonl", tmp_path) == ROWS
