"""Addresses and durations: what the CRD lets through can be read, and nothing else."""

import re

import pytest

from finetune_api.resources.common import seconds
from finetune_api.resources.source import DATA_PATTERN, MODEL_PATTERN, Address, parse_address

ADDRESSES = [
    ("pvc://data/train.jsonl", Address("pvc", "data", "train.jsonl")),
    ("pvc://data/a/b/train.jsonl", Address("pvc", "data", "a/b/train.jsonl")),
    ("configmap://rows/train.jsonl", Address("configmap", "rows", "train.jsonl")),
    ("s3://bucket/a/b.jsonl", Address("s3", "bucket", "a/b.jsonl")),
    ("s3://my.bucket-1/k", Address("s3", "my.bucket-1", "k")),
]
MODEL_ADDRESSES = [
    ("pvc://models", Address("pvc", "models", "")),
    ("pvc://models/", Address("pvc", "models", "")),
    ("pvc://models/llama/3.2/", Address("pvc", "models", "llama/3.2")),
    ("s3://bucket/prefix/", Address("s3", "bucket", "prefix")),
]
NO_ADDRESSES = ["", "data.jsonl", "/data.jsonl", "pvc:/data/x", "http://host/x", "pvc://", "s3:///key", "hf://org/model"]
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


@pytest.mark.parametrize(("text", "expected"), DURATIONS)
def test_seconds_of_a_duration(text: str, expected: int) -> None:
    """Hours, minutes and seconds add up."""
    assert seconds(text) == expected
