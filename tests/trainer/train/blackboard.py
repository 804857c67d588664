"""A training as one writes it on a blackboard: an example after the other, plain PyTorch. What the trainer computes must be this."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import get_scheduler

from finetune_trainer.language_model.model import load_base
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.methods import METHODS
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.workspace.prepared import Prepared, ResolvedHyperparameters
from tests.trainer.train.runs import Run

Loss = tuple[torch.Tensor, int]
"""Sum of the losses of an example, and over how many targets."""


def train_plainly(
    model: Any, plan: StepPlan, hyper: ResolvedHyperparameters, example_loss: Callable[[int], Loss], undecayed: Callable[[str], bool]
) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step; `undecayed` tells the weights without weight decay by their names."""

    def step_loss(rows: list[int]) -> torch.Tensor:
        losses = [example_loss(row) for row in rows]
        return sum((loss for loss, _ in losses), torch.zeros(())) / sum(count for _, count in losses)

    return train_steps(model, plan, hyper, step_loss, undecayed)


def train_steps(
    model: Any,
    plan: StepPlan,
    hyper: ResolvedHyperparameters,
    step_loss: Callable[[list[int]], torch.Tensor],
    undecayed: Callable[[str], bool],
) -> list[tuple[float, float]]:
    """The same, where the loss of a row depends on the others of the step."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    groups = [
        {"params": [weight for name, weight in trained.items() if not undecayed(name)], "weight_decay": hyper.weight_decay},
        {"params": [weight for name, weight in trained.items() if undecayed(name)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=hyper.learning_rate)
    schedule = get_scheduler(hyper.scheduler, optimizer, hyper.warmup_steps, hyper.total_steps)
    figures = []
    for number in range(hyper.total_steps):
        loss = step_loss(plan.examples(*divmod(number, plan.steps_per_epoch)).tolist())
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), hyper.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        figures.append((loss.item(), norm.item()))
    return figures


def noise(shape: torch.Size, alpha: float, seed: list[int]) -> torch.Tensor:
    """What NEFTune adds to the embeddings of an example (length, width); `seed` is that of the run, the step, and the row."""
    (number,) = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    values = torch.rand(shape, generator=torch.Generator().manual_seed(int(number) // 2))
    return (2 * values - 1) * alpha / shape.numel() ** 0.5


def train_language_model(
    run: Run, smoothing: float = 0, alpha: float = 0, weigh: Callable[[torch.Tensor], torch.Tensor] = lambda losses: losses
) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step of a run: every example by itself, all logits, no Trainer, no packing, no hook. `weigh` changes
    the supervised losses of an example."""
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    hyper, rows = prepared.hyperparameters, Rows(run.workspace.train_rows)
    plan = StepPlan(rows.lengths, rows.supervised, hyper.batch_size, hyper.micro_batch_tokens, hyper.seed)
    model: Any = load_base(prepared, METHODS[run.method["type"]]).train()
    places = iter([[step, row] for step in range(hyper.total_steps) for row in plan.examples(*divmod(step, plan.steps_per_epoch))])

    def example_loss(row: int) -> Loss:
        ids, mask = map(torch.from_numpy, rows[row])
        embedded = model.get_input_embeddings()(ids)
        noisy = embedded + noise(embedded.shape, alpha, [hyper.seed, *next(places)])
        logits = model(inputs_embeds=noisy[None]).logits[0, :-1]
        log_probs = F.log_softmax(logits, -1)
        losses = -(1 - smoothing) * log_probs[range(len(ids) - 1), ids[1:]] - smoothing * log_probs.mean(-1)
        return weigh(losses[mask[1:]]).sum(), int(mask[1:].sum())

    return train_plainly(model, plan, hyper, example_loss, undecayed=lambda name: "norm" in name or "ia3_l" in name)
