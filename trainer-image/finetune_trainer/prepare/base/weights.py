"""Headers of safetensors files: shapes and sizes without the weights (huggingface/safetensors, "Format")."""

import json
import math
from dataclasses import dataclass

from finetune_trainer.prepare.base.files import incomplete
from finetune_trainer.sources.folder import Folder, Stored
from finetune_trainer.sources.subject import Subject

MAX_HEADER = 100_000_000
"""Bytes; the format's own limit."""

TRANSPOSED = ("gpt-sw3", "gpt2", "openai-gpt")
"""Model types whose matrices are transformers' Conv1D."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Weights:
    """Every tensor's shape by name, over all files."""

    shapes: Shapes
    stored: int = 0
    """Bytes of the files."""
    transposed: bool = False
    """Matrices are stored as (in, out), not (out, in)."""

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def linear_layers(self) -> dict[str, tuple[int, int]]:
        """Module name -> (out, in) of the matrices in the model's layers, without embeddings and head."""
        return {
            name.removesuffix(".weight"): (shape[1], shape[0]) if self.transposed else (shape[0], shape[1])
            for name, shape in self.shapes.items()
            if len(shape) == 2 and name.endswith(".weight") and any(part.isdigit() for part in name.split("."))
        }


def read_weights(folder: Folder, files: dict[str, Stored], subject: Subject) -> Weights:
    """Shapes out of all files; raises StageFailure for a file that is cut short or not safetensors."""
    shapes: Shapes = {}
    for name, stored in files.items():
        shapes |= read_header(folder, name, stored.size, subject)
    return Weights(shapes, sum(stored.size for stored in files.values()))


def read_header(folder: Folder, name: str, size: int, subject: Subject) -> Shapes:
    """Shapes of one file: 8 bytes of length, little endian, then JSON with shape and data_offsets of each tensor."""
    length = int.from_bytes(folder.read(name, 0, 8), "little") if size >= 8 else 0
    if not 0 < length <= min(size - 8, MAX_HEADER):
        raise incomplete(subject, f"{name} is not a safetensors file, or is cut short ({size:,} bytes)", {})
    try:
        tensors = json.loads(folder.read(name, 8, length))
        tensors.pop("__metadata__", None)
        end = 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
        shapes = {key: tuple(tensor["shape"]) for key, tensor in tensors.items()}
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as exc:
        raise incomplete(subject, f"{name} has no safetensors header: {exc}", {}) from exc
    if end != size:
        raise incomplete(subject, f"{name} has {size:,} bytes and should have {end:,}: copy it again", {})
    return shapes


def in_words(parameters: int) -> str:
    """A model's size for people: 8.0 billion, 23 million."""
    return f"{parameters / 1e9:.1f} billion" if parameters >= 1e9 else f"{parameters / 1e6:.0f} million"
