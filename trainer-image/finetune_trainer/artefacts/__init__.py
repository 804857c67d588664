"""Artefacts: the forms in which publish writes a model, each of which something can load. To add one: docs/extending.md.

    artefact.py     what an artefact is asked for: the class that each of them extends
    safetensors.py  model/: the merged weights as a Hugging Face folder
    adapter.py      adapter/: the PEFT adapter of a training with LoRA
    onnx/           onnx/fp32/: the model of the onnx engine
    labels.py       whether a config.json names the manifest's labels

prepare, publish and inspect ask the registry here, which imports neither torch nor transformers.
"""

from finetune_api.registry import Registry
from finetune_api.run_config import RunConfig
from finetune_trainer.artefacts.adapter import Adapter
from finetune_trainer.artefacts.artefact import Artefact
from finetune_trainer.artefacts.onnx import Onnx
from finetune_trainer.artefacts.safetensors import Safetensors
from finetune_trainer.failure import entry_of

ARTEFACTS: Registry[Artefact] = Registry(
    "artefact",
    "finetune.artefacts",
    Safetensors(),
    Adapter(),
    Onnx(),
)


def wanted_artefacts(run: RunConfig) -> list[Artefact]:
    """What publish is going to write, in the order of the registry; raises StageFailure (InvalidSpec) for an unknown name."""
    for name in run.export:
        entry_of(ARTEFACTS, name, f"export.{name}")
    return [artefact for artefact in ARTEFACTS.values() if artefact.wanted(run)]
