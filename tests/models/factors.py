"""IA3 on a tiny model, without a training: prepare finds layers for the factors, they learn, and they merge into the weights.

Loading, loop and publish are those of LoRA, which goes through the stages.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from finetune_api.run_config import RunMethod
from finetune_trainer.failure import StageFailure
from finetune_trainer.families import Family
from finetune_trainer.methods.adapter import merged
from finetune_trainer.methods.ia3 import FACTORS, IA3
from finetune_trainer.prepare.base.weights import TRANSPOSED, Weights
from tests.models.tiny_models import load_tiny, load_tiny_encoder

SETTINGS = RunMethod(type="ia3")
TOKENS = torch.arange(5, 25)[None]


def factors_reason(base: Path, family: Family) -> str:
    """Why factors cannot be learned, "" if they can."""
    try:
        IA3.adapted(weights_of(base, family).linear_layers, SETTINGS)
    except StageFailure:
        return "the names of its layers do not tell which of them compute keys and values or end a feed-forward part"
    model = IA3.prepare(load(base, family), SETTINGS, "CAUSAL_LM" if family.kind == "language" else "SEQ_CLS", [])
    compute(model.train()).square().mean().backward()  # type: ignore[no-untyped-call]
    model.eval()
    factors = {name: weight for name, weight in model.named_parameters() if FACTORS in name}
    if unused := [name for name, weight in factors.items() if weight.grad is None]:
        return f"{unused[0]} takes no part in what it computes"
    if not any(weight.grad.abs().sum() > 0 for weight in factors.values()):
        return "its factors get no gradient"
    with torch.no_grad():
        before = compute(model)
        for weight in factors.values():
            weight.uniform_(0.5, 1.5)
        adapted = compute(model)
        unloaded = compute(merged(model))
    size = adapted.abs().max()
    if not (adapted - before).abs().max() > 1e-3 * size:
        return "its factors change nothing"
    return "" if (adapted - unloaded).abs().max() < 1e-3 * size else "with factors merged into its weights it computes something else"


def load(base: Path, family: Family) -> Any:
    """The model in fp32."""
    return load_tiny(base) if family.kind == "language" else load_tiny_encoder(base)


def compute(model: Any) -> torch.Tensor:
    """Logits."""
    cached: dict[str, bool] = {"use_cache": False} if hasattr(model.config, "use_cache") else {}
    logits: torch.Tensor = model(input_ids=TOKENS, attention_mask=torch.ones_like(TOKENS), **cached).logits
    return logits


def weights_of(base: Path, family: Family) -> Weights:
    """As prepare reads them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in base.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    return Weights(shapes, transposed=family.model_type in TRANSPOSED)
