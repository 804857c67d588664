"""Tiny random models as Hugging Face folders: a tokenizer of one token a byte, and weights that make every part of the model count."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

from finetune_trainer.artifacts.onnx.small_copy import enliven
from tests.models.tiny_configs import tiny_config
from tests.unit.prepare.base_folder import change_json, write_json

MARKERS = ("<s>", "</s>")
END = 1
"""The second one's id."""
SEED = 3


def make_language_model(model_type: str, folder: Path) -> Path:
    """A causal language model without a chat template."""
    return make(AutoModelForCausalLM, model_type, folder, byte_tokenizer())


def make_encoder(model_type: str, folder: Path) -> Path:
    """An encoder as it is pretrained: without a head for labels wherever the family has another head."""
    masked = type(tiny_config(model_type)) in AutoModelForMaskedLM._model_mapping
    loader = AutoModelForMaskedLM if masked else AutoModelForSequenceClassification
    tokenizer = byte_tokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=list(zip(MARKERS, (0, 1), strict=True))
    )
    return make(loader, model_type, folder, tokenizer)


def make(loader: Any, model_type: str, folder: Path, tokenizer: Tokenizer) -> Path:
    """Writes the folder and returns it."""
    torch.manual_seed(SEED)
    model: Any = loader.from_config(tiny_config(model_type))
    enliven(model)
    model.save_pretrained(folder)
    change_json(folder / "config.json", model_type=model_type)  # several types may be of one class
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    named = {"bos_token": MARKERS[0], "eos_token": MARKERS[1], "tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(folder / "tokenizer_config.json", named)
    return folder


def byte_tokenizer() -> Tokenizer:
    """A token a byte behind two markers."""
    vocabulary = dict(zip((*MARKERS, *sorted(ByteLevel.alphabet())), range(258), strict=True))
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([AddedToken(marker, special=True) for marker in MARKERS])
    return tokenizer


def load_tiny(folder: Path) -> Any:
    """The language model that was made."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def load_tiny_encoder(folder: Path) -> Any:
    """The encoder that was made, with a head for labels."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    return model.eval()
