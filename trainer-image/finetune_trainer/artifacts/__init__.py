"""Artifacts: the forms in which publish writes a model, each of which something can load. To add one: docs/extending.md.

    exporter.py     what an artifact is asked for: the class that each of them extends
    safetensors.py  model/: the merged weights as a Hugging Face folder
    adapter.py      adapter/: the PEFT adapter of a training with LoRA
    onnx/           onnx/fp32/: the model of the onnx engine
    labels.py       whether a config.json names the manifest's labels

prepare, publish and inspect ask the registry here, which imports neither torch nor transformers.
"""

from finetune_api.registry import Registry
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.adapter import Adapter
from finetune_trainer.artifacts.exporter import Exporter
from finetune_trainer.artifacts.onnx import Onnx
from finetune_trainer.artifacts.safetensors import Safetensors
from finetune_trainer.failure import entry_of

ARTIFACTS: Registry[Exporter] = Registry(
    "artifact",
    "finetune.artifacts",
    Safetensors(),
    Adapter(),
    Onnx(),
)


def wanted_artifacts(run: RunConfig) -> list[Exporter]:
    """What publish is going to write, in the order of the registry; raises StageFailure (InvalidSpec) for an unknown name."""
    for name in run.export:
        entry_of(ARTIFACTS, name, f"export.{name}")
    return [artifact for artifact in ARTIFACTS.values() if artifact.wanted(run)]
