"""What config.json beside an encoder's tokenizer says about the model."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from finetune_server.model_directory import UnusableModel, VerifiedModel
from finetune_text.positions import usable_positions

CONFIG_FILE = "config.json"
MULTI_LABEL = "multi_label_classification"

EncoderTask = Literal["sequence-classification", "token-classification", "text-embedding"]
"""What an encoder does: it labels a whole input, or each of its tokens, or gives an input a vector."""


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder's task, the labels of a classifier by index, and the size of inputs."""

    task: EncoderTask
    labels: tuple[str, ...]
    multi_label: bool
    context_length: int
    vocabulary_size: int
    pad_token: int
    dimensions: int
    """Numbers of an answer: one for each label, or those of a vector."""


def read_encoder_config(model: VerifiedModel, task: EncoderTask) -> EncoderConfig:
    """Raises UnusableModel if a key is missing, or when the labels differ from the manifest's."""
    path = model.tokenizer.folder / CONFIG_FILE
    try:
        config: dict[str, Any] = json.loads(path.read_text())
        names = {} if task == "text-embedding" else {int(index): str(name) for index, name in config["id2label"].items()}
        labels = tuple(names[index] for index in range(len(names)))
        dimensions = int(config["hidden_size"]) if task == "text-embedding" else len(labels)
        pad_token = config.get("pad_token_id") or 0
        context_length = positions(config)
        vocabulary_size = int(config["vocab_size"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UnusableModel(f"{path}: {type(error).__name__} {error}; publish the model again") from error
    manifest = model.manifest
    if manifest.labels and tuple(manifest.labels) != labels:
        raise UnusableModel(f"{path}: id2label is {list(labels)}, but the manifest's labels are {manifest.labels}; publish the model again")
    problem = config.get("problem_type")
    if problem is not None and (problem == MULTI_LABEL) != manifest.multi_label:
        raise UnusableModel(f"{path}: problem_type is {problem!r}, but the manifest says multiLabel {manifest.multi_label}; publish again")
    return EncoderConfig(task, labels, manifest.multi_label, context_length, vocabulary_size, pad_token, dimensions)


def positions(config: dict[str, Any]) -> int:
    """Number of position embeddings that inputs can use. Raises KeyError."""
    found = usable_positions(config)
    if found is None:
        raise KeyError("max_position_embeddings")
    return found
