"""A training as one writes it on a blackboard: an example after the other, plain PyTorch. What the trainer computes must be this."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import get_scheduler

from finetune_trainer.step_plan import StepPlan
from finetune_trainer.workspace.prepared import ResolvedHyperparameters

Loss = tuple[torch.Tensor, int]
"""Sum of the losses of an example, and over how many targets."""


def train_plainly(
    model: Any, plan: StepPlan, hyper: ResolvedHyperparameters, example_loss: Callable[[int], Loss], undecayed: Callable[[str], bool]
) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step; `undecayed` tells the weights without weight decay by their names."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    groups = [
        {"params": [weight for name, weight in trained.items() if not undecayed(name)], "weight_decay": hyper.weight_decay},
        {"params": [weight for name, weight in trained.items() if undecayed(name)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=hyper.learning_rate)
    schedule = get_scheduler(hyper.scheduler, optimizer, hyper.warmup_steps, hyper.total_steps)
    figures = []
    for number in range(hyper.total_steps):
        losses = [example_loss(int(row)) for row in plan.examples(*divmod(number, plan.steps_per_epoch))]
        loss = sum((loss for loss, _ in losses), torch.zeros(())) / sum(count for _, count in losses)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), hyper.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        figures.append((loss.item(), norm.item()))
    return figures
