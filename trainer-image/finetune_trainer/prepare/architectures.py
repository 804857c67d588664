"""Which models a task can start from, and which of them can be exported to ONNX, so that a job learns it before it trains."""

from typing import Any

from finetune_api.resources.finetune_job import CLASSIFICATION, Task
from finetune_trainer.failure import invalid
from finetune_trainer.prepare.base_files import unsupported
from finetune_trainer.sources.subject import Subject

ONNX_ARCHITECTURES = frozenset(
    {
        "Ernie4_5ForCausalLM",
        "Gemma2ForCausalLM",
        "Gemma3ForCausalLM",
        "GemmaForCausalLM",
        "GptOssForCausalLM",
        "GraniteForCausalLM",
        "GraniteMoeHybridForCausalLM",
        "HunYuanDenseV1ForCausalLM",
        "InternLM2ForCausalLM",
        "Lfm2ForCausalLM",
        "Lfm2MoeForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "NemotronForCausalLM",
        "OlmoForCausalLM",
        "Phi3ForCausalLM",
        "Phi3SmallForCausalLM",
        "PhiForCausalLM",
        "PhiMoEForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "SmolLM3ForCausalLM",
    }
)
"""Causal language models that onnxruntime-genai's model builder exports.

Source: `create_model` in onnxruntime_genai/models/builder.py of onnxruntime-genai 0.18.0; check it again with the pin."""

ENCODER_FAMILIES = (
    "Albert", "Bert", "Camembert", "DebertaV2", "DistilBert", "Electra", "MPNet", "ModernBert", "Roberta", "XLMRoberta",
)  # fmt: skip
"""As transformers names their classes; each has ...ForSequenceClassification and ...ForTokenClassification, and torch.onnx exports it."""
_ENCODER_HEADS = ("Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification", "ForTokenClassification")
ENCODERS = frozenset(family + head for family in ENCODER_FAMILIES for head in _ENCODER_HEADS)
WITHOUT_CHECKPOINTING = ("Albert", "CpmAnt", "GPTNeoXJapanese", "JetMoe", "MPNet")
"""Families whose classes in transformers have supports_gradient_checkpointing False."""


def check_architecture(name: str, subject: Subject, task: Task, *, for_onnx: bool) -> None:
    """Raises StageFailure for a class of models that the task cannot use, `for_onnx` also for one that cannot be exported."""
    if task in CLASSIFICATION:
        if name not in ENCODERS:
            kind = ", a causal language model" if name.endswith("ForCausalLM") else ""
            raise unsupported(subject, f"is a {name}{kind}: task {task} needs an encoder ({', '.join(ENCODER_FAMILIES)})")
        return
    if not name.endswith("ForCausalLM"):
        kind = f", an encoder, which serves {' and '.join(CLASSIFICATION)}" if name in ENCODERS else ""
        raise unsupported(subject, f"is a {name}{kind}: task {task} needs a causal language model (...ForCausalLM)")
    if for_onnx and name not in ONNX_ARCHITECTURES:
        known = ", ".join(sorted(known.removesuffix("ForCausalLM") for known in ONNX_ARCHITECTURES))
        raise unsupported(subject, f"is a {name}, which cannot be exported to ONNX: leave export.onnx out, or use one of {known}")


def can_recompute(config: dict[str, Any]) -> bool:
    """False for a model, told by its config.json, whose activations cannot be computed again (gradient checkpointing)."""
    return not any(str(name).startswith(WITHOUT_CHECKPOINTING) for name in config.get("architectures") or ())


def check_checkpointing(config: dict[str, Any], subject: Subject, *, wanted: bool) -> None:
    """Raises StageFailure where gradient checkpointing is wanted of a model that does not know it."""
    if wanted and not can_recompute(config):
        raise invalid(
            "GradientCheckpointingUnsupported",
            f"hyperparameters.gradientCheckpointing is true, but {subject.name} is a {config['architectures'][0]}, which cannot compute "
            "activations again: leave gradientCheckpointing out, and lower maxSequenceLength where memory is short",
            param="hyperparameters.gradientCheckpointing",
        )
