"""What a training does when it runs out of memory: it says what to change, and the next attempt may halve its micro-batches.

The losses do not depend on the micro-batches, so that the attempt with smaller ones resumes from the checkpoints of the one before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from finetune_api.exit_codes import ExitCode
from finetune_trainer.data.tokens.arrow import TEXTS, TOKEN_IDS, laid_out
from finetune_trainer.failure import StageFailure
from finetune_trainer.step_plan import Layout, StepPlan
from finetune_trainer.train.errors import first_line, is_out_of_memory
from finetune_trainer.workspace.prepared import Prepared, ResolvedHyperparameters
from finetune_trainer.workspace.prepared_rows import list_lengths, open_rows


def halved(prepared: Prepared, rows: Path, world: int, layout: Layout) -> Prepared:
    """The same training with half the micro-batch; raises StageFailure where the largest one is a single example."""
    hyper = prepared.hyperparameters
    table = open_rows(rows)
    sides = [list_lengths(table.column(name)) for name in TOKEN_IDS if name in table.column_names]
    lengths = laid_out(sides, padded=TEXTS[1] in table.column_names)
    plan = StepPlan(lengths, np.ones_like(lengths), hyper.batch_size, hyper.micro_batch_tokens, hyper.seed, world, layout, hyper.shuffle)
    if (budget := plan.halved_budget()) is None:
        raise does_not_fit("an earlier attempt of this training ran out of memory", plan, hyper)
    return prepared.model_copy(update={"hyperparameters": hyper.model_copy(update={"micro_batch_tokens": budget})})


@contextmanager
def within_memory(plan: StepPlan, hyper: ResolvedHyperparameters) -> Iterator[None]:
    """Around the steps: an error for lack of memory becomes a StageFailure, OUT_OF_MEMORY where smaller micro-batches may help."""
    try:
        yield
    except Exception as exc:
        if not is_out_of_memory(exc):
            raise
        raise does_not_fit(f"training ran out of memory ({first_line(exc)})", plan, hyper) from exc


def does_not_fit(what: str, plan: StepPlan, hyper: ResolvedHyperparameters) -> StageFailure:
    """With what to change."""
    largest, longest, single = plan.largest_micro_batch(), int(plan.lengths.max()), plan.halved_budget() is None
    size = f"is a single example of {longest:,} tokens" if single else f"has {largest:,} tokens, the longest example {longest:,}"
    recompute = "" if hyper.gradient_checkpointing else "set hyperparameters.gradientCheckpointing: true, "
    return StageFailure(
        ExitCode.DOES_NOT_FIT if single else ExitCode.OUT_OF_MEMORY,
        "OutOfMemory",
        f"{what}; the largest micro-batch {size}: in a new job {recompute}lower hyperparameters.maxSequenceLength, use "
        "method.type: lora or a smaller base model, or provide more memory (training.resources.limits.memory, or GPUs with more)",
        param="hyperparameters.maxSequenceLength" if hyper.gradient_checkpointing else "hyperparameters.gradientCheckpointing",
    )
