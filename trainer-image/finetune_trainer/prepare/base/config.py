"""What a base model's JSON files say. Reads a local folder; the weights need not be there yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from finetune_api.run_config import RunConfig
from finetune_text.positions import usable_positions
from finetune_text.tokenizer_files import TokenizerFiles, UnreadableFile, read_object, read_tokenizer_files
from finetune_trainer.prepare.base.architectures import check_family
from finetune_trainer.prepare.base.files import incomplete, unsupported
from finetune_trainer.sources.subject import Subject


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


def read_base_config(folder: Path, subject: Subject, run: RunConfig) -> BaseConfig:
    """Reads and checks; raises StageFailure naming what cannot be used for the job's task, method or export."""
    config, generation, files = read_files(folder, subject)
    refuse_remote_code(config, files.config, subject)
    tokenizer = read_tokenizer(folder / "tokenizer.json", subject)
    special = files.special_tokens
    return BaseConfig(
        architecture=architecture(config, subject, run),
        values=config,
        max_length=usable_positions(config),
        vocab_size=positive(config.get("vocab_size")),
        chat_template=files.chat_template,
        tool_template=files.tool_template,
        special_tokens=special,
        eos_token_ids=eos_token_ids(generation, config, tokenizer, special),
        tokenizer=tokenizer,
    )


def read_files(folder: Path, subject: Subject) -> tuple[dict[str, Any], dict[str, Any], TokenizerFiles]:
    """config.json, generation_config.json and what is beside tokenizer.json; raises StageFailure."""
    try:
        return read_object(folder / "config.json"), read_object(folder / "generation_config.json"), read_tokenizer_files(folder)
    except UnreadableFile as exc:
        raise incomplete(subject, str(exc), {}) from exc


def refuse_remote_code(config: dict[str, Any], tokenizer_config: Mapping[str, Any], subject: Subject) -> None:
    """A model whose classes are Python files beside its weights is not loaded."""
    for name, content in (("config.json", config), ("tokenizer_config.json", tokenizer_config)):
        if "auto_map" in content:
            raise unsupported(
                subject,
                f"needs Python code from its own folder (auto_map in {name}), which is not run; if transformers knows this "
                "architecture by itself, remove auto_map from the file",
            )


def architecture(config: dict[str, Any], subject: Subject, run: RunConfig) -> str:
    """The model's class, which must fit the job and have plain weights."""
    names = config.get("architectures") or []
    name = str(names[0]) if isinstance(names, list) and names else ""
    if not name:
        raise unsupported(subject, 'does not state its architecture: config.json has no "architectures"')
    check_family(config, name, subject, run)
    if "quantization_config" in config:
        method = (config["quantization_config"] or {}).get("quant_method", "quantised")
        raise unsupported(subject, f"has quantized weights ({method}): use the unquantized model")
    return name


def read_tokenizer(path: Path, subject: Subject) -> Tokenizer:
    """The fast tokenizer."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as exc:  # tokenizers raises plain Exception
        raise incomplete(subject, f"{path.name} cannot be read: {exc}", {}) from exc


def eos_token_ids(generation: dict[str, Any], config: dict[str, Any], tokenizer: Tokenizer, special: dict[str, str]) -> list[int]:
    """Tokens that end an answer, each once, the generation config's first."""
    found: list[int] = []
    for value in (generation.get("eos_token_id"), config.get("eos_token_id")):
        found += value if isinstance(value, list) else [value] if value is not None else []
    text = special.get("eos_token")
    from_text = tokenizer.token_to_id(text) if text else None
    return list(dict.fromkeys([*found, *([] if from_text is None else [from_text])]))


def positive(value: Any) -> int | None:
    """A positive integer, or None."""
    return value if isinstance(value, int) and value > 0 else None
