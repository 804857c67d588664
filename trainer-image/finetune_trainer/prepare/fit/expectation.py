"""What the training will come to before it starts: tokens, hours, cost. Rough on purpose, and it says what from.

A training step costs a few operations per parameter and token (Method.operations). Attention over long sequences, the start of the
pods, evaluation and export come on top.
"""

import math

import numpy as np
from numpy.typing import NDArray

from finetune_api.result import Expectation
from finetune_api.run_config import RunConfig, RunHardware
from finetune_trainer import operations
from finetune_trainer.objectives import objective_of
from finetune_trainer.prepare.base.weights import in_words
from finetune_trainer.prepare.hyperparameters import Decided
from finetune_trainer.prepare.speeds import peak_flops
from finetune_trainer.workspace.prepared import ResolvedHyperparameters

Counts = NDArray[np.int64]
GPU_USE = 0.35
"""Share of the peak that training reaches: 0.3 to 0.4 is what well-set trainings of transformers report."""
CORE = {"bf16": 60e9, "fp32": 30e9}
"""Operations a second of a CPU core: about 90e9 were seen with SmolLM2-135M in bf16 on a core that has AVX-512 for it; older ones reach
half of this."""


def expect(run: RunConfig, decided: Decided, parameters: int, lengths: Counts) -> Expectation:
    """`parameters` of the base model, `lengths` of the training examples after the cut."""
    hyper = decided.values
    epochs, rest = divmod(hyper.total_steps, hyper.steps_per_epoch)
    examples = epochs * len(lengths) + min(rest * hyper.batch_size, len(lengths))
    tokens = round(float(lengths.mean()) * examples)
    each = operations.trained(run, recomputed=hyper.gradient_checkpointing)
    speed, basis = rate(run, hyper.precision)
    if speed is None:
        return Expectation(tokens=tokens, basis=basis)
    validated = validations(hyper) * hyper.validation_examples * float(lengths.mean())
    reference = float(lengths.sum()) if objective_of(run).needs_reference else 0
    hours = parameters * (each * tokens + operations.validated(run) * (validated + reference)) / speed / 3600
    text = f"{each} x {in_words(parameters)} parameters x {tokens:,} tokens at {basis}"
    price = cost(run.hardware, hours)
    currency = run.hardware.currency if price is not None else ""
    return Expectation(tokens=tokens, hours=significant(hours), cost=price, currency=currency, basis=text)


def validations(hyper: ResolvedHyperparameters) -> int:
    """Number of validations during the training."""
    return math.ceil(hyper.total_steps / hyper.validation_every) if hyper.validation_every else 0


def rate(run: RunConfig, precision: str) -> tuple[float | None, str]:
    """Operations a second of the whole training and what that is from; None where the device is not known, with the reason."""
    hardware = run.hardware
    if hardware.gpus:
        peak = peak_flops(hardware.gpu_product, precision)
        if peak is None:
            said = f"the GPU {hardware.gpu_product} is unknown" if hardware.gpu_product else "no node has a GPU product label"
            return None, f"{said}, so its speed is unknown"
        use = f"{GPU_USE:.0%} of {peak / 1e12:.0f} TFLOP/s ({hardware.gpu_product}, {precision})"
        return hardware.gpus * peak * GPU_USE, f"{hardware.gpus} x {use}"
    if hardware.cpus is None:
        return None, "training.resources does not specify CPUs, so the speed is unknown"
    cores = run.world.nodes * hardware.cpus
    return cores * CORE[precision], f"{cores:g} CPU{'s' * (cores != 1)} x about {CORE[precision] / 1e9:.0f} GFLOP/s ({precision})"


def cost(hardware: RunHardware, hours: float) -> float | None:
    """In the currency of the prices; None where there is no price."""
    price = hardware.price_per_gpu_hour
    return round(hours * hardware.gpus * price, 2) if price is not None and hardware.gpus else None


def significant(hours: float) -> float:
    """Two digits: more would pretend to know."""
    return float(f"{hours:.2g}")
