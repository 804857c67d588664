"""Which files of a folder make up the base model. Judges by their names; `base_config` looks into them."""

import json
from dataclasses import dataclass

from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.sources.folder import Folder, Stored
from finetune_trainer.sources.subject import Subject

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_SMALL = (".json", ".jinja", ".txt", ".model")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class BaseFiles:
    """What has to be there, by name."""

    small: dict[str, Stored]
    """Configuration, tokenizer and template."""
    weights: dict[str, Stored]
    """The safetensors files, all of them."""

    @property
    def all(self) -> dict[str, Stored]:
        """Both, sorted by name."""
        return dict(sorted((self.small | self.weights).items()))


def total_bytes(files: dict[str, Stored]) -> int:
    """Size of files together."""
    return sum(stored.size for stored in files.values())


def choose_files(folder: Folder, subject: Subject) -> BaseFiles:
    """Lists the folder; raises StageFailure when it is not a complete model in Hugging Face layout."""
    files = {name: stored for name, stored in folder.files().items() if not name.startswith(".")}
    check_layout(files, subject)
    small = {name: stored for name, stored in files.items() if name.endswith(_SMALL)}
    return BaseFiles(small, choose_weights(folder, files, subject))


def check_layout(files: dict[str, Stored], subject: Subject) -> None:
    """Raises StageFailure for what is missing, with a guess at what the folder is instead."""
    if "config.json" not in files:
        if "adapter_config.json" in files:
            raise unsupported(subject, "is a LoRA adapter, not a model: merge it into its base first")
        if any(name.endswith(".gguf") for name in files):
            raise unsupported(subject, "holds a GGUF file: give the model's folder in Hugging Face layout instead")
        raise incomplete(subject, "has no config.json: a model folder in Hugging Face layout is required", files)
    if "tokenizer.json" not in files:
        raise incomplete(subject, "has no tokenizer.json: save the model's fast tokenizer with save_pretrained", files)


def choose_weights(folder: Folder, files: dict[str, Stored], subject: Subject) -> dict[str, Stored]:
    """The safetensors files that transformers would load: the index's shards, or the single file."""
    if INDEX in files:
        try:
            shards = sorted(set(json.loads(folder.read(INDEX, 0, files[INDEX].size))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as exc:
            raise incomplete(subject, f"{INDEX} is not an index of safetensors files: {exc}", files) from exc
        missing = [shard for shard in shards if shard not in files]
        if missing:
            raise incomplete(subject, f"lacks {len(missing)} of the {len(shards)} files that {INDEX} names: {', '.join(missing[:5])}", {})
        return {shard: files[shard] for shard in shards}
    if SINGLE in files:
        return {SINGLE: files[SINGLE]}
    pickles = [name for name in files if name.endswith(_PICKLES)]
    if pickles:
        raise unsupported(
            subject,
            f"has its weights as pickles ({', '.join(pickles[:3])}), which can run any code when they are loaded: "
            "save the model as safetensors (save_pretrained does)",
        )
    raise incomplete(subject, f"has no weights: {SINGLE}, or {INDEX} and its files, are needed", files)


def incomplete(subject: Subject, what: str, files: dict[str, Stored]) -> StageFailure:
    """Something is missing."""
    held = f"; the folder holds: {', '.join(list(files)[:5])}" if files else ""
    return invalid("BaseModelIncomplete", f"{subject.name} {what}{held}", param=subject.param)


def unsupported(subject: Subject, what: str) -> StageFailure:
    """It is a model that cannot be used here."""
    return invalid("BaseModelUnsupported", f"{subject.name} {what}", param=subject.param)
