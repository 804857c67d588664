"""What the files beside a tokenizer.json say: special tokens and chat templates, found where transformers looks for them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATE_FILE = "chat_template.jinja"
CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class UnreadableFile(Exception):
    """A file is not what its name says; the text begins with the file's name."""


@dataclass(frozen=True)
class TokenizerFiles:
    """Of one folder."""

    config: Mapping[str, Any]
    """tokenizer_config.json, and the special tokens that older models keep in a file of their own."""
    chat_template: str | None
    """The template for conversations, from a file of its own or from tokenizer_config.json."""

    @property
    def special_tokens(self) -> dict[str, str]:
        """Texts of the named special tokens, as chat templates use them: {"bos_token": "<s>", ...}."""
        texts = {name: token_text(self.config.get(name)) for name in SPECIAL_TOKENS}
        return {name: text for name, text in texts.items() if text}

    @property
    def tool_template(self) -> str | None:
        """The template named tool_use, which older models have beside the default one for conversations with tools."""
        return named_templates(self.config).get("tool_use")


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Files that are absent say nothing. Raises UnreadableFile."""
    both = read_object(folder / SPECIAL_TOKENS_FILE), read_object(folder / CONFIG_FILE)
    config = {key: value for content in both for key, value in content.items() if value is not None}
    path = folder / TEMPLATE_FILE
    own = path.read_text(encoding="utf-8") if path.is_file() else None
    return TokenizerFiles(config, named_templates(config).get("default") if own is None else own)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty when there is no such file. Raises UnreadableFile."""
    try:
        value = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError as exc:
        raise UnreadableFile(f"{path.name} is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise UnreadableFile(f"{path.name} is not a JSON object")
    return value


def named_templates(config: Mapping[str, Any]) -> dict[str, str]:
    """The templates of tokenizer_config.json: one, the default, or several by name."""
    template = config.get("chat_template")
    entries = template if isinstance(template, list) else [{"name": "default", "template": template}]
    found = {entry.get("name"): entry.get("template") for entry in entries if isinstance(entry, dict)}
    return {name: text for name, text in found.items() if isinstance(name, str) and isinstance(text, str) and text}


def token_text(value: Any) -> str:
    """A token is written as a string or as an object with its content."""
    return str(value.get("content", "")) if isinstance(value, dict) else value if isinstance(value, str) else ""
