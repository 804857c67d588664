"""genai_config.json, which the onnxruntime-genai builder writes next to the graph of a decoder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_api.model_directory import MANIFEST_FILE
from finetune_server.model_directory import UnusableModel, VerifiedArtifact

GENAI_CONFIG_FILE = "genai_config.json"


@dataclass(frozen=True)
class GenaiConfig:
    """The shape of a decoder's key-value memory, and the tokens that end an answer."""

    model_file: str
    context_length: int
    end_tokens: frozenset[int]
    layers: int
    kv_heads: int
    head_size: int


def read_genai_config(artifact: VerifiedArtifact) -> GenaiConfig:
    """Reads the file. Raises UnusableModel if a key is missing, or if its graph is not a verified file."""
    path = artifact.folder / GENAI_CONFIG_FILE
    config = parsed(path)
    if artifact.optional_file(config.model_file) is None:
        raise UnusableModel(
            f"{path}: model.decoder.filename is {config.model_file!r}, which is not a file of this artifact that {MANIFEST_FILE} lists; "
            "export the model again with format onnx"
        )
    return config


def parsed(path: Path) -> GenaiConfig:
    """Raises UnusableModel."""
    try:
        model: dict[str, Any] = json.loads(path.read_text())["model"]
        decoder = model["decoder"]
        end = model["eos_token_id"]
        return GenaiConfig(
            model_file=str(decoder["filename"]),
            context_length=int(model["context_length"]),
            end_tokens=frozenset(end if isinstance(end, list) else [end]),
            layers=int(decoder["num_hidden_layers"]),
            kv_heads=int(decoder["num_key_value_heads"]),
            head_size=int(decoder["head_size"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableModel(f"{path}: {type(error).__name__} {error}; export the model again with format onnx") from error
