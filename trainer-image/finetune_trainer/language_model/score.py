"""Loss and perplexity of a causal language model over the tokens that count."""

import math
from collections.abc import Callable
from typing import Any

import torch

from finetune_api.model_directory import Scores
from finetune_trainer.language_model.batches import Batch, token_batches
from finetune_trainer.language_model.held_out import Row

SOFTMAX_ROWS = 512
"""Positions whose logits are held in fp32 at once."""


def score(model: Any, rows: list[Row], budget: int, show: Callable[[int, int], None]) -> Scores:
    """Mean negative log-likelihood in nats per supervised token, and its exponential.

    `budget` is the padded tokens of a forward pass; `show(done, total)` is told the supervised tokens scored so far.
    The logits are computed in the model's own precision, at the positions that count only; the log-softmax in fp32.
    """
    total = sum(row.targets for row in rows)
    done, loss = 0, 0.0
    for batch in token_batches(rows, budget):
        loss += loss_sum(model, batch)
        done += len(batch.targets)
        show(done, total)
    mean = loss / done if done else math.nan
    return Scores(loss=mean, perplexity=math.exp(min(mean, 700.0)))


@torch.inference_mode()
def loss_sum(model: Any, batch: Batch) -> float:
    """Sum of the negative log-likelihoods of a batch's targets."""
    logits = logits_at(model, batch)
    targets = batch.targets.to(logits.device)
    parts = zip(torch.split(logits, SOFTMAX_ROWS), torch.split(targets, SOFTMAX_ROWS), strict=True)
    return sum(torch.nn.functional.cross_entropy(part.float(), wanted, reduction="sum").item() for part, wanted in parts)


def logits_at(model: Any, batch: Batch) -> torch.Tensor:
    """Logits (positions x vocabulary) at the batch's positions: the output head sees no others, whatever the model."""
    device = next(model.parameters()).device
    positions = batch.positions.to(device)

    def select(_head: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (arguments[0].flatten(0, 1)[positions], *arguments[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        output = model(input_ids=batch.input_ids.to(device), attention_mask=batch.attention_mask.to(device), use_cache=False)
    finally:
        hook.remove()
    logits: torch.Tensor = output.logits
    return logits
