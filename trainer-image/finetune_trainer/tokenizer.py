"""A model's tokenizer files: the base's own, with the chat template that the model was trained with."""

import json
import shutil
from pathlib import Path

from finetune_text.tokenizer_files import CONFIG_FILE, TEMPLATE_FILE, read_tokenizer_files

FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt",
    "tokenizer.model", "sentencepiece.bpe.model", "spiece.model",
)  # fmt: skip


def copy_tokenizer(source: Path, folder: Path, template: str | None = None) -> None:
    """Copies the tokenizer's files. The chat template gets a file of its own, which `template` replaces.

    Replaced, it also goes from tokenizer_config.json, where older tokenizers keep it: a loader must not find two.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    if template is not None:
        remove_inline_template(folder / CONFIG_FILE)
        (folder / TEMPLATE_FILE).write_text(template, encoding="utf-8")
    elif own := read_tokenizer_files(source).chat_template:
        (folder / TEMPLATE_FILE).write_text(own, encoding="utf-8")


def remove_inline_template(path: Path) -> None:
    """Takes the chat template out of tokenizer_config.json."""
    config = json.loads(path.read_bytes()) if path.exists() else {}
    if config.pop("chat_template", None) is not None:
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
