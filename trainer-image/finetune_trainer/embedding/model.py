"""A base model without a head, and the vector that it gives to a text. Knows no rows."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModel

from finetune_trainer.embedding.batch import TextBatch
from finetune_trainer.failure import invalid
from finetune_trainer.workspace.prepared import Pooling


def load_encoder(folder: Path) -> Any:
    """The encoder of a Hugging Face folder in fp32, on the CPU, in eval mode.

    Without the layer for classification that many encoders have behind their last one ("pooler"): nothing here uses it.
    """
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it warns of a head that is left out
    try:
        model: Any = AutoModel.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, SafetensorError) as exc:
        raise invalid("BaseModelUnreadable", f"cannot load {folder} with AutoModel: {exc}", param="base.source") from exc
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model.eval()


def freeze_unused(model: Any, pad_token: int) -> None:
    """Takes the gradient from what no vector depends on: distributed training waits for a gradient of all that is trained."""
    ids = torch.full((1, 4), pad_token + 1)
    device = next(model.parameters()).device
    embed(model, {"input_ids": ids.to(device), "attention_mask": torch.ones_like(ids, device=device)}, "mean").sum().backward()  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.grad is None:
            parameter.requires_grad_(False)
        parameter.grad = None


def embed(model: Any, inputs: dict[str, torch.Tensor], pooling: Pooling) -> torch.Tensor:
    """(N, D) fp32: one vector of length 1 for each text."""
    hidden: torch.Tensor = model(**inputs).last_hidden_state
    return F.normalize(pooled(hidden.float(), inputs["attention_mask"], pooling), dim=-1)


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """(N, D) of (N, T, D), as sentence-transformers' Pooling."""
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def embed_batch(model: nn.Module, batch: TextBatch, pooling: Pooling) -> torch.Tensor:
    """(N, D) fp32: the vectors of a batch's texts."""
    return embed(model, batch.inputs(), pooling)
