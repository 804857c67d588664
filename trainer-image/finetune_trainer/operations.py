"""Floating point operations of a run, per parameter of the base and token of a row. Attention over long sequences comes on top."""

from finetune_api.run_config import RunConfig
from finetune_trainer.methods import method_of
from finetune_trainer.methods.method import FORWARD
from finetune_trainer.objectives import objective_of
from finetune_trainer.tasks import find_task

RECOMPUTED = 2
"""More with gradient checkpointing: the forward pass is made twice."""


def trained(run: RunConfig, *, recomputed: bool = False) -> int:
    """Of a row that is trained on. Before a step, all its texts, or its mismatched answers, may have a pass of their own."""
    before = find_task(run.task).learner == "embedding" or objective_of(run).rates
    return method_of(run).operations + (RECOMPUTED if recomputed else 0) + (FORWARD if before else 0)


def validated(run: RunConfig) -> int:
    """Of a row that is not trained on, as in a validation: rated answers have mismatched ones beside them."""
    return 2 * FORWARD if objective_of(run).rates else FORWARD
