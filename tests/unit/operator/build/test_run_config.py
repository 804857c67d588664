"""The run config of a job."""

import json
from dataclasses import replace

import pytest

from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.run_config import RunConfig
from finetune_operator.build.config_map import run_config_map_object
from finetune_operator.build.run_config import run_config
from tests.unit.operator.build.expected import MANAGED, META, OWNER, config, container
from tests.unit.operator.samples import JOB_UID, SETTINGS, spec

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("pvc://data/a/train.jsonl", "/sources/train/a/train.jsonl"),
        ("configmap://rows/train.jsonl", "/sources/train/train.jsonl"),
        ("s3://bucket/train.jsonl", "s3://bucket/train.jsonl"),
        ("gs://bucket/train.jsonl", "gs://bucket/train.jsonl"),
        ("abfs://rows@account.dfs.core.windows.net/train.jsonl", "abfs://rows@account.dfs.core.windows.net/train.jsonl"),
        ("hf://datasets/owner/name@v1/train.jsonl", "hf://datasets/owner/name@v1/train.jsonl"),
        ("https://example.com/train.jsonl", "https://example.com/train.jsonl"),
    ],
)
def test_sources_are_paths_in_the_pod(source: str, uri: str) -> None:
    """Messages show what the user wrote."""
    found = config(spec(dataset={"train": {"source": source}})).dataset.train
    assert (found.uri, found.shown_as, found.env_prefix) == (uri, source, "")


@pytest.mark.parametrize("source", ["s3://bucket/k", "gs://bucket/k", "abfs://rows/k", "hf://datasets/o/n/k", "https://example.com/k"])
def test_stores_and_servers_need_credentials_and_no_mount(source: str) -> None:
    """The Secret's keys become variables of prepare with a prefix that the run config names; nothing is mounted for it."""
    wanted = spec(dataset={"train": {"source": source, "credentials": {"secretRef": {"name": "keys"}}}})
    assert config(wanted).dataset.train.env_prefix == "FINETUNE_TRAIN_"
    assert container("prepare", wanted)["envFrom"] == [{"prefix": "FINETUNE_TRAIN_", "secretRef": {"name": "keys"}}]
    assert "source-train" not in {mount["name"] for mount in container("prepare", wanted)["volumeMounts"]}


def test_a_signed_address_is_shown_without_its_signature() -> None:
    """Status and model card are read by more people than may read the data."""
    found = config(spec(dataset={"train": {"source": "https://example.com/k?sig=abc"}})).dataset.train
    assert (found.uri, found.shown_as) == ("https://example.com/k?sig=abc", "https://example.com/k?...")


def test_what_the_administrator_allows_reaches_the_pods() -> None:
    """By the run config; a spec has no field for it."""
    assert run_config(META, spec(), "image:1", None, replace(SETTINGS, allowed_private=("10.0.0.0/8",))).network.allowed_private == [
        "10.0.0.0/8"
    ]
    assert config(spec()).network.allowed_private == []


def test_the_run_config_of_a_spec() -> None:
    """Digest and identity for the lineage, credentials by prefix."""
    found = config(spec())
    assert (found.base.source.uri, found.dataset.train.env_prefix) == ("/sources/base/smol", "FINETUNE_TRAIN_")
    assert (found.job.uid, found.output_model, found.image, found.paths.workspace) == (JOB_UID, "tune", "image:1", "/workspace")
    assert (found.world.nodes, found.world.processes_per_node) == (1, 1)
    assert (found.limits.start_deadline, found.limits.stall_timeout) == (900, 1800)
    written = run_config_map_object(META, found)
    assert RunConfig.from_json(written["data"]["run.json"]) == found
    assert written["metadata"] == {
        "name": "tune-run", "namespace": "team", "labels": {**MANAGED, "finetune.dev/job": "tune"}, "ownerReferences": [OWNER],
    }  # fmt: skip


def test_the_run_config_has_what_the_spec_sets() -> None:
    """An earlier trainer image, which training.pod.image may name, knows no field that was added since, and refuses unknown ones."""
    method = {"type": "lora", "objective": "dpo", "lora": {"rank": 8}, "dpo": {"beta": 0.2}}
    written = json.loads(config(spec(method=method, export={"onnx": {}})).to_json())
    assert written["contractVersion"] == 1
    assert written["method"] == {"objective": "dpo", "lora": {"rank": 8}, "dpo": {"beta": 0.2}}
    assert written["export"] == {"onnx": {}}
    assert written.keys() == {"contractVersion", "job", "base", "dataset", "method", "export", "outputModel", "image"}


@pytest.mark.parametrize(("path", "uri"), [("", "/sources/base"), ("models/a/", "/sources/base/models/a")])
def test_a_fine_tuned_base_is_its_directory(path: str, uri: str) -> None:
    """On its claim, wherever the model says."""
    wanted = spec(base={"fineTunedModel": {"name": "bot"}})
    found = config(wanted, ClaimSource(name="bot-model", path=path)).base
    assert (found.source.uri, found.source.shown_as, found.fine_tuned_model) == (uri, "FineTunedModel bot", "bot")
    with pytest.raises(ValueError, match="FineTunedModel bot"):
        config(wanted)


def test_a_shared_workspace_claim_has_a_folder_for_each_job() -> None:
    """Two jobs on one claim never meet, not even two of one name."""
    assert config(spec(workspace={"claimName": "shared"})).paths.workspace == "/workspace/tune-11111111"
