"""Which model families can be fine-tuned and how, and why others cannot: families.json, verified line by line by `make test-models`.

A family is a model_type of config.json. `python -m tests.models.measure --write` measures the table again; docs/models.md is generated
from it. Does not import torch.
"""

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

FILE = "families.json"
REASONS = {name: name for name in ("lora", "qlora", "ia3", "full")} | {
    "tensor_parallel": "tensorParallel",
    "onnx": "onnx",
    "unfit": "unfit",
}
"""Fields, and their keys in the file."""
HEADS = ("Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification", "ForTokenClassification", "WithLMHeadModel")
"""Suffixes of the classes of encoder checkpoints; each can become a classifier."""


@dataclass(frozen=True)
class Family:
    """One line of the table. A reason is "" where it works."""

    model_type: str
    kind: Literal["language", "encoder", "other"]
    """language: chat, completion, summarization; encoder: classification; other: neither."""
    name: str
    """The class in transformers; for an encoder, without the suffix."""
    lora: str = ""
    qlora: str = ""
    """Beside `lora`, which holds for it too."""
    ia3: str = ""
    """The same."""
    full: str = ""
    tensor_parallel: str = ""
    """Of language models, by the methods that work."""
    undivided: float = 0.0
    """Share of the parameters of its default config that every process has whole under strategy tensor-parallel."""
    onnx: str = ""
    unfit: str = ""
    """Why a family of kind other cannot be used."""

    def has(self, architecture: str) -> bool:
        """True for a class whose checkpoints transformers can load as this family."""
        if self.kind != "encoder":
            return architecture == self.name
        return architecture in {self.name + head for head in HEADS}

    @property
    def trainable(self) -> bool:
        """With at least one method."""
        return self.kind != "other" and not (self.lora and self.full)


@functools.cache
def families() -> dict[str, Family]:
    """All families by model type, sorted."""
    rows = json.loads(files(__package__).joinpath(FILE).read_text())["families"]
    return {row["modelType"]: family_of(row) for row in rows}


def versions() -> dict[str, str]:
    """Versions of the packages with which the table was measured."""
    found: dict[str, str] = json.loads(files(__package__).joinpath(FILE).read_text())["versions"]
    return found


def family_of(row: dict[str, Any]) -> Family:
    """A row of the file."""
    return Family(
        row["modelType"],
        row["kind"],
        row["class"],
        **{name: row.get(key, "") for name, key in REASONS.items()},
        undivided=row.get("undivided", 0.0),
    )


def to_row(family: Family) -> dict[str, Any]:
    """The row of a family, without empty reasons."""
    reasons = {key: getattr(family, name) for name, key in REASONS.items()}
    named: dict[str, Any] = {"modelType": family.model_type, "kind": family.kind, "class": family.name}
    share = {"undivided": family.undivided} if family.undivided else {}
    return named | {name: reason for name, reason in reasons.items() if reason} | share
