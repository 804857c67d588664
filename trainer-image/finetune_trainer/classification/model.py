"""A base model as a classifier: an encoder with a head for the labels.

A base that already is a classifier of the same labels keeps its head; any other gets a new one, which depends on the seed
alone. So train starts from the same weights as what publish calls the base.
"""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

from finetune_trainer.classification.batch import Collator
from finetune_trainer.classification.labelling import ClassifierName, Labelling
from finetune_trainer.failure import invalid

CLASSES: dict[ClassifierName, tuple[Any, str]] = {
    "sequence": (AutoModelForSequenceClassification, "ForSequenceClassification"),
    "token": (AutoModelForTokenClassification, "ForTokenClassification"),
}
"""Transformers' loader, and how the names of the classes that it makes end."""


@dataclass(frozen=True)
class Classifier:
    """A loaded classifier."""

    model: Any
    collator: Collator
    head_modules: list[str]
    """Names of the modules that LoRA must train whole: the head, and what else the base does not have."""
    head: str
    """Where its head is from, for people."""


def load_classifier(folder: Path, labelling: Labelling, seed: int) -> Classifier:
    """The model of a Hugging Face folder in fp32 with a head for the labels, on the CPU, in eval mode."""
    loader, suffix = CLASSES[labelling.learner]
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it warns of what we do on purpose
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        other = differences(config, labelling, suffix)
        torch.manual_seed(seed)
        model, info = loader.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False,
            ignore_mismatched_sizes=bool(other), output_loading_info=True, **labelling.config(),
        )  # fmt: skip
    except (OSError, ValueError, SafetensorError) as exc:
        raise invalid("BaseModelUnreadable", f"cannot load {folder} with {loader.__name__}: {exc}", param="base.source") from exc
    if other:
        renew_head(model, seed)
    absent = {key.rpartition(".")[0] for key in info["missing_keys"]}
    whole = {name for name in absent if name.startswith(f"{model.base_model_prefix}.")} | set(head_names(model))
    collator = Collator(labelling, pad_token(model.config), takes_token_types(model))
    head = (
        f"a new head for {len(labelling.labels)} labels, because the base {other}" if other else "the base's own head for the same labels"
    )
    return Classifier(model.eval(), collator, sorted(whole), head)


def differences(config: Any, labelling: Labelling, suffix: str) -> str:
    """Why the base's head cannot be kept, "" when it can."""
    name = next(iter(config.architectures or []), "model without a class")
    if not name.endswith(suffix):
        return f"is a {name}"
    known = tuple(str(config.id2label.get(index)) for index in range(config.num_labels))
    if known != labelling.labels:
        return f"has other labels ({', '.join(known[:5])}{', ...' if len(known) > 5 else ''})"
    multi_label = config.problem_type == "multi_label_classification"
    return "" if multi_label == labelling.multi_label else f"gives {'several labels' if multi_label else 'one label'} to a text"


def head_names(model: Any) -> list[str]:
    """The modules outside the encoder that have weights."""
    return [name for name, child in model.named_children() if name != model.base_model_prefix and any(True for _ in child.parameters())]


def renew_head(model: Any, seed: int) -> None:
    """Draws the weights of the head anew."""
    torch.manual_seed(seed)
    for name in head_names(model):
        head = getattr(model, name)
        for parameter in head.parameters():
            parameter._is_hf_initialized = False  # transformers leaves alone what it believes to be loaded
        head.apply(model._init_weights)


def pad_token(config: Any) -> int:
    """Any token will do: the mask hides it."""
    return int(config.pad_token_id) if config.pad_token_id is not None else 0


def takes_token_types(model: nn.Module) -> bool:
    """True for a model that tells two texts apart."""
    accepts = "token_type_ids" in inspect.signature(type(model).forward).parameters
    return accepts and int(getattr(model.config, "type_vocab_size", None) or 0) > 1
