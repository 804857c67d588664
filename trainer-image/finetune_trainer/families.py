"""Which model families can be fine-tuned, how, and why others cannot: families.json, which `make test-models` proves line by line.

A family is what config.json calls model_type. `python -m tests.models.measure --write` measures the table anew, docs/models.md is made
of it. Knows no torch.
"""

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

FILE = "families.json"
HEADS = ("Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification", "ForTokenClassification", "WithLMHeadModel")
"""How the classes of an encoder's checkpoints end: each can become a classifier."""


@dataclass(frozen=True)
class Family:
    """One line. A reason is "" where the thing works."""

    model_type: str
    kind: Literal["language", "encoder", "other"]
    """language: chat, completion, summarization; encoder: classification; other: neither."""
    name: str
    """transformers' class; of an encoder without what follows the family's name."""
    lora: str = ""
    full: str = ""
    onnx: str = ""
    unfit: str = ""
    """Why a family of kind other cannot be used."""

    def has(self, architecture: str) -> bool:
        """True for a class whose checkpoints transformers loads as this family's."""
        if self.kind != "encoder":
            return architecture == self.name
        return architecture in {self.name + head for head in HEADS}

    @property
    def trainable(self) -> bool:
        """By one method at least."""
        return self.kind != "other" and not (self.lora and self.full)


@functools.cache
def families() -> dict[str, Family]:
    """By model type, sorted."""
    rows = json.loads(files(__package__).joinpath(FILE).read_text())["families"]
    return {row["modelType"]: family_of(row) for row in rows}


def versions() -> dict[str, str]:
    """Of the packages that the table was measured with."""
    found: dict[str, str] = json.loads(files(__package__).joinpath(FILE).read_text())["versions"]
    return found


def family_of(row: dict[str, Any]) -> Family:
    """A row of the file."""
    return Family(row["modelType"], row["kind"], row["class"], **{name: row.get(name, "") for name in ("lora", "full", "onnx", "unfit")})


def to_row(family: Family) -> dict[str, str]:
    """The row of a family: reasons that are not there are left out."""
    reasons = {name: getattr(family, name) for name in ("lora", "full", "onnx", "unfit")}
    named = {"modelType": family.model_type, "kind": family.kind, "class": family.name}
    return named | {name: reason for name, reason in reasons.items() if reason}
