"""The refusal of a training that does not fit, with changes that would make it fit: each is tried with the same formula."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunConfig, RunMethod
from finetune_trainer.failure import StageFailure
from finetune_trainer.families import families
from finetune_trainer.methods import TrainingMethod, method_of
from finetune_trainer.methods.lora import LORA
from finetune_trainer.methods.qlora import QLORA
from finetune_trainer.optimizers import ADAMW, ADAMW_8BIT
from finetune_trainer.prepare.base.architectures import can_recompute
from finetune_trainer.prepare.base.weights import Weights, in_words
from finetune_trainer.prepare.disk_space import readable
from finetune_trainer.prepare.fit.attempt import Attempt, fits, optimized, tried
from finetune_trainer.prepare.fit.choice import Choice, TrainingFacts
from finetune_trainer.prepare.fit.model_shape import layer_of
from finetune_trainer.prepare.fit.spreading import sharded, strategy_in_words, with_adamw, with_more_gpus
from finetune_trainer.prepare.fit.strategy import DDP, using
from finetune_trainer.prepare.hyperparameters import Decided
from finetune_trainer.prepare.speeds import computes_bf16
from finetune_trainer.strategies import obstacle_of, strategy_of
from finetune_trainer.workspace.prepared import HEADROOM

GPU_SIZES = (16, 24, 32, 40, 48, 80, 96, 141, 192, 288)
"""GiB that GPUs are sold with."""
SUGGESTIONS = 3
_STEP = 64
_GIB = 1 << 30


def does_not_fit(run: RunConfig, decided: Decided, facts: TrainingFacts, smallest: Choice) -> StageFailure:
    """Names what is needed, what there is and who says so, and what to change."""
    available = run.hardware.memory or 0
    of = Attempt("", "", run, decided, facts)
    fitting = what_fits(of, available)
    spread = tried(with_more_gpus(of), available)
    spreads = [] if spread is None else [spread]
    named = fitting[: SUGGESTIONS - 1] + spreads
    more, param = more_memory(run, smallest.need.total)
    changes = [f"{attempt.words} ({readable(choice.need.total)})" for attempt, choice in named] + [more]
    need, where = smallest.need, "each GPU" if run.hardware.gpus else "the pod"
    parts = {"weights": need.weights, "gradients": need.gradients, "optimizer": need.optimizer, "activations": need.activations}
    parts |= {"logits": need.logits, "runtime and fragmentation": need.runtime}
    longest = int(facts.lengths.max())
    how = f"one example of {longest:,} tokens at a time{', with gradient checkpointing' if smallest.checkpointing else ''}"
    return StageFailure(
        ExitCode.DOES_NOT_FIT,
        "DoesNotFit",
        f"the training does not fit: it needs {readable(need.total)} of memory on {where}, and there are {readable(available)} "
        f"({run.hardware.memory_from or 'hardware.memory'}). It would fit with {'; or '.join(changes)}",
        param=named[0][0].param if named else param,
        details=[
            f"needed for {how}: " + ", ".join(f"{name} {readable(count)}" for name, count in parts.items()),
            *(f"fits: {attempt.words} needs {readable(choice.need.total)}" for attempt, choice in fitting + spreads),
            f"fits: {more}",
        ],
    )


def what_fits(of: Attempt, available: int) -> list[tuple[Attempt, Choice]]:
    """Single changes, the one that costs least first; all of them together where none is enough; else a smaller model."""
    changes = (
        sharded, recomputed, with_adamw, with_adapters, with_smaller_state, with_smaller_rank, in_half, in_4_bits, longest_that_fits,
    )  # fmt: skip
    fitting = [found for change in changes if (found := tried(change(of), available)) is not None]
    together = all_of(of, (recomputed, with_adapters, in_half, in_4_bits))
    if not fitting and together is not None:
        found = tried(together, available) or tried(added(together, longest_that_fits(together)), available)
        fitting = [found] if found is not None else []
    if len(fitting) < SUGGESTIONS - 1:
        both = added(together, with_smaller_base(together)) if together is not None else None
        found = tried(with_smaller_base(of), available) or tried(both, available)
        fitting += [found] if found is not None else []
    return fitting


def all_of(of: Attempt, changes: Sequence[Callable[[Attempt], Attempt | None]]) -> Attempt | None:
    """All of those that are changes, None where none is."""
    together = None
    for change in changes:
        if (more := change(together or of)) is not None:
            together = more if together is None else added(together, more)
    return together


def added(before: Attempt, change: Attempt | None) -> Attempt | None:
    """Both in words; the first one's field is the one to begin with."""
    return replace(change, words=f"{before.words}, {change.words}", param=before.param) if change is not None else None


def recomputed(of: Attempt) -> Attempt | None:
    """Where the user has forbidden it, and the model knows how."""
    if of.run.hyperparameters.gradient_checkpointing is not False or not can_recompute(of.facts.config):
        return None
    hyper = of.run.hyperparameters.model_copy(update={"gradient_checkpointing": True})
    name = "hyperparameters.gradientCheckpointing"
    return replace(of, words=f"{name}: true", param=name, run=of.run.model_copy(update={"hyperparameters": hyper}))


def with_adapters(of: Attempt) -> Attempt | None:
    """LoRA instead of full fine-tuning."""
    if not method_of(of.run).trains_base:
        return None
    return with_method(of, LORA, RunMethod(type=LORA.name))


def in_4_bits(of: Attempt) -> Attempt | None:
    """The base quantised, where it is frozen and the family can be trained that way."""
    family = families().get(str(of.facts.config.get("model_type")))
    if method_of(of.run) is not LORA or family is None or QLORA.obstacle(family):
        return None
    smaller = with_method(of, QLORA, of.decided.method.model_copy(update={"type": QLORA.name}))
    if not obstacle_of(strategy_of(of.run.strategy), smaller.run):
        return smaller
    words, _ = strategy_in_words(DDP, of.run.strategy)
    return replace(smaller, words=f"{smaller.words} with {words}", run=using(smaller.run, DDP))


def with_method(of: Attempt, method: TrainingMethod, given: RunMethod) -> Attempt:
    """The same training by another method."""
    settings = method.resolve(given, len(of.facts.lengths), automatically)
    run, decided = of.run.model_copy(update={"method": settings}), replace(of.decided, method=settings)
    return replace(of, words=f"method.type: {method.name}", param="method.type", run=run, decided=decided)


def automatically(name: str, given: Any, automatic: Any, reason: str) -> Any:
    """A Decide that takes the automatic value."""
    return automatic


def with_smaller_state(of: Attempt) -> Attempt | None:
    """The optimizer's state in 8 bits, where all weights are trained and each process holds all of them."""
    smaller = optimized(of, ADAMW_8BIT.name)
    if not method_of(of.run).trains_base or of.decided.values.optimizer != ADAMW.name:
        return None
    return None if obstacle_of(strategy_of(of.run.strategy), smaller.run) else smaller


def with_smaller_rank(of: Attempt) -> Attempt | None:
    """Adapters of a quarter of the size, at least of rank 8."""
    lora = of.decided.method.lora
    if lora is None or (lora.rank or 0) <= 8:
        return None
    smaller = max(8, (lora.rank or 0) // 4)
    method = of.decided.method.model_copy(update={"lora": lora.model_copy(update={"rank": smaller})})
    decided = replace(of.decided, method=method)
    return replace(of, words=f"method.lora.rank: {smaller}", param="method.lora.rank", decided=decided)


def in_half(of: Attempt) -> Attempt | None:
    """Half the bytes of a number, in the format of 16 bits that the device computes in."""
    if of.decided.values.precision not in ("fp32", "tf32"):
        return None
    half = "bf16" if computes_bf16(of.run.hardware.gpu_product) else "fp16"
    hyper = of.run.hyperparameters.model_copy(update={"precision": half})
    run = of.run.model_copy(update={"hyperparameters": hyper})
    if obstacle_of(strategy_of(run.strategy), run):
        return None
    decided = replace(of.decided, values=of.decided.values.model_copy(update={"precision": half}))
    name = "hyperparameters.precision"
    return replace(of, words=f"{name}: {half}", param=name, run=run, decided=decided)


def longest_that_fits(of: Attempt) -> Attempt | None:
    """The largest maxSequenceLength that fits, found by halving; None when not even short examples fit."""
    low, high, best = 1, int(of.facts.lengths.max()) // _STEP, None
    while low <= high:
        middle = (low + high) // 2
        attempt = cut_to(of, middle * _STEP)
        if fits(attempt, of.run.hardware.memory or 0) is not None:
            low, best = middle + 1, attempt
        else:
            high = middle - 1
    return best


def cut_to(of: Attempt, length: int) -> Attempt:
    """Longer examples are cut, perhaps only before what is supervised."""
    lengths = np.minimum(of.facts.lengths, length)
    supervised = np.minimum(of.facts.supervised, length)
    name = "hyperparameters.maxSequenceLength"
    return replace(of, words=f"{name}: {length}", param=name, facts=replace(of.facts, lengths=lengths, supervised=supervised))


def with_smaller_base(of: Attempt) -> Attempt | None:
    """A model of the same kind with as many layers as fit, found by its size; None when not one layer fits."""
    layers = len({layer_of(name) for name in of.facts.weights.linear_layers})
    for count in sorted({layers * share // 8 for share in range(1, 8)} - {0}, reverse=True):
        names = {name: shape for name, shape in of.facts.weights.shapes.items() if number_of(name) < count}
        kept = Weights(names, int(of.facts.weights.stored * len(names) / len(of.facts.weights.shapes)))
        config = {key: value for key, value in of.facts.config.items() if key not in ("num_hidden_layers", "n_layer", "text_config")}
        smaller = replace(
            of,
            facts=replace(
                of.facts, weights=kept, config=config | (of.facts.config.get("text_config") or {}) | {"num_hidden_layers": count}
            ),
        )
        if fits(smaller, of.run.hardware.memory or 0) is not None:
            return replace(smaller, words=f"a base model of at most {in_words(kept.parameters)} parameters", param="base.source")
    return None


def number_of(name: str) -> int:
    """The layer's number in a tensor's name, -1 outside the layers."""
    return next((int(part) for part in name.split(".") if part.isdigit()), -1)


def more_memory(run: RunConfig, needed: int) -> tuple[str, str]:
    """The same training with more memory, and the field that gives it."""
    gib = math.ceil(needed / HEADROOM / _GIB)
    if run.hardware.gpus:
        size = next((size for size in GPU_SIZES if size >= gib), gib)
        return f"a GPU with {size} GiB (training.pod.nodeSelector)", "training.pod.nodeSelector"
    return f"training.resources.limits.memory: {gib}Gi", "training.resources.limits.memory"
