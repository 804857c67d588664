"""Addresses and durations: what the CRD lets through can be read, and nothing else."""

import re

import pytest
from pydantic import ValidationError

from finetune_api.resources.common import seconds
from finetune_api.resources.finetune_job import Output
from finetune_api.resources.method import ConfigMapKey
from finetune_api.resources.source import DATA_PATTERN, MODEL_PATTERN, Address, parse_address, shown_address

ADDRESSES = [
    ("pvc://data/train.jsonl", Address("pvc", "data", "train.jsonl")),
    ("pvc://data/a/b/train.jsonl", Address("pvc", "data", "a/b/train.jsonl")),
    ("configmap://rows/train.jsonl", Address("configmap", "rows", "train.jsonl")),
    ("s3://bucket/a/b.jsonl", Address("s3", "bucket", "a/b.jsonl")),
    ("s3://my.bucket-1/k", Address("s3", "my.bucket-1", "k")),
    ("gs://my_bucket/a/b.jsonl.gz", Address("gs", "my_bucket", "a/b.jsonl.gz")),
    ("abfs://rows/a/b.jsonl", Address("abfs", "rows", "a/b.jsonl")),
    ("abfs://rows@account1.dfs.core.windows.net/b.jsonl", Address("abfs", "rows@account1.dfs.core.windows.net", "b.jsonl")),
    ("hf://datasets/owner/name/data/train.parquet", Address("hf", "datasets", "owner/name/data/train.parquet")),
    ("hf://datasets/owner/name@v1.0/train.jsonl", Address("hf", "datasets", "owner/name@v1.0/train.jsonl")),
    ("hf://datasets/owner/name@refs/convert/parquet/a/0.parquet", Address("hf", "datasets", "owner/name@refs/convert/parquet/a/0.parquet")),
    ("hf://datasets/owner/name", Address("hf", "datasets", "owner/name")),
    ("https://example.com/a/b.jsonl?version=2", Address("https", "example.com", "a/b.jsonl?version=2")),
    ("http://10.0.0.1:8080/b.jsonl", Address("http", "10.0.0.1:8080", "b.jsonl")),
    ("https://[2001:db8::1]/b.jsonl", Address("https", "[2001:db8::1]", "b.jsonl")),
]
MODEL_ADDRESSES = [
    ("pvc://models", Address("pvc", "models", "")),
    ("pvc://models/", Address("pvc", "models", "")),
    ("pvc://models/llama/3.2/", Address("pvc", "models", "llama/3.2")),
    ("s3://bucket/prefix/", Address("s3", "bucket", "prefix")),
    ("gs://bucket/prefix", Address("gs", "bucket", "prefix")),
    ("abfs://models@account1.dfs.core.windows.net/llama", Address("abfs", "models@account1.dfs.core.windows.net", "llama")),
    ("hf://owner/name", Address("hf", "owner", "name")),
    ("hf://owner/name@main", Address("hf", "owner", "name@main")),
]
NO_ADDRESSES = ["", "data.jsonl", "/data.jsonl", "pvc:/data/x", "ftp://host/x", "pvc://", "s3:///key", "file:///etc/passwd", "hdfs://a/b"]
REFUSED_DATA = [
    "hf://owner/model",
    "hf://spaces/owner/name/file",
    "https://user:secret@example.com/x",
    "https://user@example.com/x",
    "https://example.com",
    "https://example.com/a b",
    "abfs://rows@example.com/x",
    "abfs://rows@account.dfs.core.windows.net.example.com/x",
    "gs://bucket",
    "gs://Bucket/x",
]
REFUSED_MODELS = [
    "https://example.com/model",
    "configmap://a/b",
    "hf://datasets/owner/name",
    "hf://owner/name/sub/folder",
    "hf://name",
    "gs://bucket",
]
SHOWN = [
    ("https://example.com/rows.jsonl?X-Amz-Signature=abc", "https://example.com/rows.jsonl?..."),
    ("https://example.com/rows.jsonl", "https://example.com/rows.jsonl"),
    ("pvc://data/what?.jsonl", "pvc://data/what?.jsonl"),
]
DURATIONS = [("90s", 90), ("15m", 900), ("24h", 86400), ("1h30m", 5400), ("1h0m1s", 3601), ("0s", 0)]


@pytest.mark.parametrize(("text", "expected"), ADDRESSES + MODEL_ADDRESSES)
def test_an_address_has_scheme_host_and_path(text: str, expected: Address) -> None:
    """The path has no slash at either end."""
    assert parse_address(text) == expected


@pytest.mark.parametrize(("pattern", "text"), [(DATA_PATTERN, t) for t, _ in ADDRESSES] + [(MODEL_PATTERN, t) for t, _ in MODEL_ADDRESSES])
def test_patterns_let_addresses_through(pattern: str, text: str) -> None:
    """What can be read can be written into a spec."""
    assert re.search(pattern, text)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_anything_else_is_no_address(text: str) -> None:
    """The error shows the text and what would be right; the CRD's patterns refuse the same."""
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is not an address: expected pvc://CLAIM/PATH")):
        parse_address(text)
    assert not re.search(DATA_PATTERN, text)
    assert not re.search(MODEL_PATTERN, text)


@pytest.mark.parametrize(
    ("pattern", "text"), [(DATA_PATTERN, text) for text in REFUSED_DATA] + [(MODEL_PATTERN, text) for text in REFUSED_MODELS]
)
def test_patterns_refuse_what_cannot_be_read(pattern: str, text: str) -> None:
    """Data is a file and a model is a folder; credentials, and hosts that are not Azure's own, are no part of an address."""
    assert not re.search(pattern, text)


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_a_signature_in_an_address_is_not_shown(text: str, shown: str) -> None:
    """The query of a web address may open the file to whoever reads it in a status or a model card."""
    assert shown_address(text) == shown


@pytest.mark.parametrize(("text", "expected"), DURATIONS)
def test_seconds_of_a_duration(text: str, expected: int) -> None:
    """Hours, minutes and seconds add up."""
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"app": "bot", "team.example/cost-centre": "nlp_1.a", "empty": ""}, ""),
        ({"x" * 63: "y" * 63}, ""),
        ({"x" * 64: ""}, "is not a label key"),
        ({"-app": ""}, "is not a label key"),
        ({"Team.Example/app": ""}, "is not a label key"),
        ({"/app": ""}, "is not a label key"),
        ({"finetune.dev/job": "x"}, "is reserved for the operator"),
        ({"app": "-x"}, "should match pattern"),
        ({"app": "y" * 64}, "at most 63 characters"),
    ],
)
def test_labels_of_a_model(labels: dict[str, str], words: str) -> None:
    """What the API server would refuse when the model is registered is refused before anything runs."""
    if not words:
        assert Output(labels=labels).labels == labels
        return
    with pytest.raises(ValidationError, match=words):
        Output(labels=labels)


@pytest.mark.parametrize("key", ["loss.py", ".loss", "_-a..b"])
def test_keys_of_config_maps(key: str) -> None:
    """As the API server has them."""
    assert ConfigMapKey(name="losses", key=key).key == key


@pytest.mark.parametrize("key", [".", "..", "..x", "a/b"])
def test_keys_that_no_config_map_has(key: str) -> None:
    """No pod would ever start."""
    with pytest.raises(ValidationError, match="key"):
        ConfigMapKey(name="losses", key=key)
