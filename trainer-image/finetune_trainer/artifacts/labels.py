"""Whether a config.json names the labels of the manifest: servers answer with the former, people read the latter."""

import json
from pathlib import Path

from finetune_api.model_directory import MANIFEST_FILE, Manifest
from finetune_trainer.failure import StageFailure, invalid


def label_findings(root: Path, folder: str, manifest: Manifest) -> list[StageFailure]:
    """Nothing for a model without labels."""
    found = stored_labels(root / folder / "config.json")
    if not manifest.labels or found == manifest.labels:
        return []
    text = f"{folder}/config.json has the labels {', '.join(found) or 'none'}, {MANIFEST_FILE} says {', '.join(manifest.labels)}"
    return [invalid("LabelsDiffer", f"{text}: restore the file or train the model again")]


def stored_labels(path: Path) -> list[str]:
    """The labels of a Hugging Face config by class index."""
    try:
        names = json.loads(path.read_bytes())["id2label"]
        return [str(names[key]) for key in sorted(names, key=int)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
