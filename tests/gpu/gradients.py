"""Losses and gradients of examples that are packed into one row, or computed one by one, on any device."""

from pathlib import Path
from typing import Any

import torch

from finetune_api.resources.learning import Precision
from finetune_trainer.language_model.batch import pack
from finetune_trainer.language_model.head import SupervisedHead, loss_sum
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.learner import autocast
from finetune_trainer.step_plan import MicroBatch


def loss_and_gradient(model: Any, rows: Rows, batches: list[tuple[int, ...]], precision: Precision) -> tuple[float, torch.Tensor]:
    """Sum of the losses of row numbers that are packed batch by batch, and the gradient of all weights as one vector in fp32."""
    device, head = next(model.parameters()).device, SupervisedHead(model)
    model.zero_grad(set_to_none=True)
    total = 0.0
    for number, examples in enumerate(batches):
        batch = pack(rows, MicroBatch(number, examples)).to(device)
        with autocast(device.type, precision):
            logits = head.logits(model, batch)
        loss = loss_sum(logits, batch.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return total, torch.cat(gradients).float()


def packed_against_single(base: Path, rows: Rows, count: int, precision: Precision, device: str) -> tuple[float, float]:
    """How far the loss of one row of `count` examples is from that of the examples one by one, as a share of it, and the cosine
    between the two gradients."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.to(device).train()
    packed, ours = loss_and_gradient(model, rows, [tuple(range(count))], precision)
    single, theirs = loss_and_gradient(model, rows, [(row,) for row in range(count)], precision)
    return abs(packed - single) / abs(single), torch.nn.functional.cosine_similarity(ours, theirs, dim=0).item()
