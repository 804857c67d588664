"""How a base model makes one vector of the vectors of a text's tokens, by the files of sentence-transformers beside it."""

import json
from typing import Any

from finetune_trainer.prepare.base.files import incomplete, unsupported
from finetune_trainer.sources.folder import Folder, Stored
from finetune_trainer.sources.subject import Subject
from finetune_trainer.workspace.prepared import Pooling

MODULES = "modules.json"
KNOWN = ("Transformer", "Pooling", "Normalize")
"""Modules whose weights, if any, are the transformer's."""
_LARGEST = 1 << 16
"""Bytes of a module's settings that are read."""
_MODES: dict[str, Pooling] = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}


def pooling_of(folder: Folder, files: dict[str, Stored], subject: Subject) -> Pooling:
    """The base's own, mean for one that has no such files. Raises StageFailure for modules that are not known here."""
    if MODULES not in files:
        return "mean"
    try:
        modules = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in json.loads(folder.read(MODULES, 0, _LARGEST))}
        path = f"{modules['Pooling']}/config.json" if "Pooling" in modules else ""
        settings = json.loads(folder.read(path, 0, _LARGEST)) if path else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise incomplete(subject, f"{MODULES} or the config.json of its Pooling module cannot be read: {exc}", {}) from exc
    if other := next((name for name in modules if name not in KNOWN), None):
        raise unsupported(subject, f"has a module {other} in {MODULES}; embedding models of {', '.join(KNOWN)} can be trained")
    return mode_of(settings, subject)


def mode_of(settings: dict[str, Any], subject: Subject) -> Pooling:
    """Of the settings of a Pooling module, in either of the two forms that versions of sentence-transformers write."""
    named = settings.get("pooling_mode")
    wanted = [str(named)] if named else [name for name, value in settings.items() if name.startswith("pooling_mode_") and value is True]
    modes = [_MODES.get(name, name) for name in wanted] or ["mean"]
    if modes == ["mean"]:
        return "mean"
    if modes == ["cls"]:
        return "cls"
    raise unsupported(subject, f"has the pooling {' and '.join(modes)}; embedding models with the pooling mean or cls can be trained")
