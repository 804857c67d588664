"""What a base model's JSON files say. Reads a local folder; the weights need not be there yet."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from finetune_api.resources.finetune_job import Task
from finetune_trainer.prepare.architectures import check_architecture
from finetune_trainer.prepare.base_files import incomplete, unsupported
from finetune_trainer.sources.subject import Subject

_POSITIONS_AFTER_PADDING = ("camembert", "mpnet", "roberta", "xlm-roberta")
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class BaseConfig:
    """What the later steps need to know of the model."""

    architecture: str
    values: dict[str, Any]
    """config.json."""
    max_length: int | None
    """Tokens that the model takes, or None where its config does not say."""
    vocab_size: int | None
    chat_template: str | None
    """None for an encoder, and for a language model without one."""
    tool_template: str | None
    """The one named tool_use, which older models have beside it for conversations with tools."""
    special_tokens: dict[str, str]
    """bos_token, eos_token, ...: their texts."""
    eos_token_ids: list[int]
    tokenizer: Tokenizer


def read_base_config(folder: Path, subject: Subject, task: Task, *, for_onnx: bool) -> BaseConfig:
    """Reads and checks; raises StageFailure naming what cannot be used for the task, `for_onnx` also what cannot be exported."""
    config = read_object(folder / "config.json", subject)
    tokenizer_config = read_object(folder / "tokenizer_config.json", subject)
    refuse_remote_code(config, tokenizer_config, subject)
    tokenizer = read_tokenizer(folder / "tokenizer.json", subject)
    special = special_tokens(folder, tokenizer_config, subject)
    return BaseConfig(
        architecture=architecture(config, subject, task, for_onnx=for_onnx),
        values=config,
        max_length=max_length(config),
        vocab_size=positive(config.get("vocab_size")),
        chat_template=chat_template(folder, tokenizer_config),
        tool_template=named_templates(tokenizer_config).get("tool_use"),
        special_tokens=special,
        eos_token_ids=eos_token_ids(read_object(folder / "generation_config.json", subject), config, tokenizer, special),
        tokenizer=tokenizer,
    )


def read_object(path: Path, subject: Subject) -> dict[str, Any]:
    """A JSON object; empty when there is no such file."""
    try:
        value = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError as exc:
        raise incomplete(subject, f"{path.name} is not valid JSON: {exc}", {}) from exc
    if not isinstance(value, dict):
        raise incomplete(subject, f"{path.name} is not a JSON object", {})
    return value


def refuse_remote_code(config: dict[str, Any], tokenizer_config: dict[str, Any], subject: Subject) -> None:
    """A model whose classes are Python files beside its weights is not loaded."""
    for name, content in (("config.json", config), ("tokenizer_config.json", tokenizer_config)):
        if "auto_map" in content:
            raise unsupported(
                subject,
                f"needs Python code from its own folder (auto_map in {name}), which is not run; if transformers knows this "
                "architecture by itself, remove auto_map from the file",
            )


def architecture(config: dict[str, Any], subject: Subject, task: Task, *, for_onnx: bool) -> str:
    """The model's class, which must fit the task and have plain weights."""
    names = config.get("architectures") or []
    name = str(names[0]) if isinstance(names, list) and names else ""
    if not name:
        raise unsupported(subject, 'does not say what it is: config.json has no "architectures"')
    check_architecture(name, subject, task, for_onnx=for_onnx)
    if "quantization_config" in config:
        method = (config["quantization_config"] or {}).get("quant_method", "quantised")
        raise unsupported(subject, f"has quantised weights ({method}): give the unquantised model")
    return name


def max_length(config: dict[str, Any]) -> int | None:
    """How many tokens the model takes. RoBERTa's family counts positions from behind the padding token's id."""
    positions = positive(config.get("max_position_embeddings", config.get("n_positions")))
    if positions is not None and config.get("model_type") in _POSITIONS_AFTER_PADDING:
        return positions - int(config.get("pad_token_id") or 0) - 1
    return positions


def read_tokenizer(path: Path, subject: Subject) -> Tokenizer:
    """The fast tokenizer."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as exc:  # tokenizers raises plain Exception
        raise incomplete(subject, f"{path.name} cannot be read: {exc}", {}) from exc


def chat_template(folder: Path, tokenizer_config: dict[str, Any]) -> str | None:
    """The template's text, where transformers looks for it: chat_template.jinja, then tokenizer_config.json."""
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text(encoding="utf-8")
    return named_templates(tokenizer_config).get("default") or None


def named_templates(tokenizer_config: dict[str, Any]) -> dict[str, str]:
    """The templates of tokenizer_config.json: one, the default, or several by name."""
    template = tokenizer_config.get("chat_template")
    entries = template if isinstance(template, list) else [{"name": "default", "template": template}]
    found = {entry.get("name"): entry.get("template") for entry in entries if isinstance(entry, dict)}
    return {name: text for name, text in found.items() if isinstance(name, str) and isinstance(text, str)}


def special_tokens(folder: Path, tokenizer_config: dict[str, Any], subject: Subject) -> dict[str, str]:
    """Texts of the special tokens that templates name. Older models keep them in special_tokens_map.json."""
    both = read_object(folder / "special_tokens_map.json", subject) | {k: v for k, v in tokenizer_config.items() if v is not None}
    texts = {key: token_text(both.get(key)) for key in _SPECIAL_TOKENS}
    return {key: text for key, text in texts.items() if text}


def eos_token_ids(generation: dict[str, Any], config: dict[str, Any], tokenizer: Tokenizer, special: dict[str, str]) -> list[int]:
    """Tokens that end an answer, each once, the generation config's first."""
    found: list[int] = []
    for value in (generation.get("eos_token_id"), config.get("eos_token_id")):
        found += value if isinstance(value, list) else [value] if value is not None else []
    text = special.get("eos_token")
    from_text = tokenizer.token_to_id(text) if text else None
    return list(dict.fromkeys([*found, *([] if from_text is None else [from_text])]))


def token_text(value: Any) -> str:
    """A token is written as a string or as an object with its content."""
    return str(value.get("content", "")) if isinstance(value, dict) else value if isinstance(value, str) else ""


def positive(value: Any) -> int | None:
    """A positive integer, or None."""
    return value if isinstance(value, int) and value > 0 else None
