"""Writes a model that calls tools when a round of the conversation before did. A program of its own, since torch talks.

    python export_tool_model.py MODEL OUT

It is a real model of a size that repeats what it has read. Its tokenizer gets the markers of calls as special tokens, for which two
ordinary words lend their embeddings; its chat template is the one that the trainer puts in the place of a ChatML template which
ignores tools.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_text.chat_template import ChatTemplate
from finetune_text.standard_templates import chatml_with_tools

MARKERS = {"<jupyter_start>": ("<tool_call>", " elephant"), "<jupyter_text>": ("</tool_call>", " volcano")}
"""Unused special tokens, what they become, and the words that they are to the model."""

LOUDER = 1.05
"""A marker's embedding is its word's, a little longer: the greedy choice of the two is always the marker."""


def write_tokenizer(source: Path, out: Path) -> None:
    """tokenizer.json, its config and the template."""
    text = (source / "tokenizer.json").read_text()
    for old, (new, _) in MARKERS.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    (out / "tokenizer.json").write_text(text)
    shutil.copyfile(source / "tokenizer_config.json", out / "tokenizer_config.json")
    plain = ChatTemplate((source / "chat_template.jinja").read_text(), {})
    (out / "chat_template.jinja").write_text(chatml_with_tools(plain))


def write_weights(source: Path, out: Path) -> None:
    """The model with the borrowed embeddings."""
    tokenizer: Any = AutoTokenizer.from_pretrained(out)
    network: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    embeddings = network.get_input_embeddings().weight.data
    for marker, word in MARKERS.values():
        (lent,) = tokenizer.encode(word)
        (number,) = tokenizer.encode(marker)
        embeddings[number] = LOUDER * embeddings[lent]
    network.save_pretrained(out)


if __name__ == "__main__":
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True)
    write_tokenizer(source, out)
    write_weights(source, out)
