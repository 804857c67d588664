"""Memory of a training: what a rank holds by method and strategy, and peaks that others have published."""

from dataclasses import replace
from typing import Any

import pytest

from finetune_api.resources.method import Qlora
from finetune_api.run_config import RunMethod, RunStrategy
from finetune_trainer.methods import METHODS
from finetune_trainer.optimizers import OPTIMIZERS, TrainedParameters
from finetune_trainer.prepare.fit.memory import GPU, Micro, TrainedModel, need, state_bytes
from finetune_trainer.prepare.fit.model_shape import ModelShape
from finetune_trainer.strategies import STRATEGIES
from finetune_trainer.strategies.deepspeed import BUCKET, LIVE

pytestmark = pytest.mark.unit
GIB = 1 << 30
PARAMETERS = 7_721_324_544
OUTSIDE = 2 * 151936 * 4096
LAYER = (PARAMETERS - OUTSIDE) // 32
IN_USE = OUTSIDE + 2 * LAYER
DDP = RunStrategy(type="ddp")
QWEN_7B = ModelShape(
    layers=32, stored_layers=32, hidden=4096, heads=32, query=4096, intermediate=11008, gated=True, norms=2 * 4096, rms=True,
    vocabulary=151936, largest=151936 * 4096, outside=OUTSIDE, inputs=4 * 4096 + 11008, attention_out=4096,
    hidden_dropout=False, attention_dropout=False,
)  # fmt: skip
R64 = 64 * 32 * (16384 + 8192 + 3 * 15104)
"""Parameters of adapters of rank 64 on c_attn, c_proj, w1 and w2."""


LINEAR = {f"layers.{number}.{name}": shape for number in range(32) for name, shape in {
    "c_attn": (3 * 4096, 4096), "c_proj": (4096, 4096), "w1": (11008, 4096), "w2": (11008, 4096), "mlp.c_proj": (4096, 11008),
}.items()}  # fmt: skip
MATRICES = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
"""Parameters of the linear layers."""
LARGEST = 3 * 4096 * 4096
REST = PARAMETERS - MATRICES
NF4 = 2 * REST + MATRICES // 2
NF4_WHOLE = MATRICES // 64 + MATRICES // 4096 + 2 * LARGEST
"""The scales, and one layer that is dequantised."""


def trained(
    method: str, trained: int, optimizer: str = "adamw", *, strategy: RunStrategy = DDP, processes: int = 1, precision: str = "bf16"
) -> TrainedModel:
    """Qwen-7B, with gradient checkpointing. `method` may say how the base is quantised: qlora int8."""
    name, _, quantization = method.partition(" ")
    settings = RunMethod(type=name, qlora=Qlora.model_validate({"quantization": quantization}) if quantization else None)
    return TrainedModel(
        shape=QWEN_7B,
        parameters=PARAMETERS,
        base=METHODS[name].base_bytes(PARAMETERS, LINEAR, settings, precision),  # type: ignore[arg-type]  # from a table
        undivided_base=METHODS[name].undivided_bytes(LINEAR, settings, precision),  # type: ignore[arg-type]
        stored=2 * PARAMETERS,
        method=METHODS[name],
        trained=TrainedParameters(
            trained, trained - OUTSIDE if method == "full" else trained, OUTSIDE // 2 if method == "full" else 0, trained // 60
        ),
        optimizer=OPTIMIZERS[optimizer],
        adapted=4 * 4096 + 11008 if method != "full" else 0,
        kept=5 * 64 if method != "full" else 0,
        precision=precision,  # type: ignore[arg-type]  # from a table
        checkpointing=True,
        processes=processes,
        strategy=STRATEGIES[strategy.type],
        distribution=strategy,
    )


@pytest.mark.parametrize("processes", [1, 8])
@pytest.mark.parametrize(
    ("method", "precision", "weights", "gradients", "optimizer"),
    [
        ("lora", "bf16", 2 * PARAMETERS + 4 * R64, 4 * R64, 8 * R64),
        ("lora", "fp32", 4 * PARAMETERS + 4 * R64, 4 * R64, 8 * R64),
        ("qlora nf4", "bf16", 2 * REST + 33 * MATRICES // 64 + MATRICES // 4096 + 2 * LARGEST + 4 * R64, 4 * R64, 8 * R64),
        ("qlora int8", "bf16", 2 * REST + MATRICES + 4 * 32 * (5 * 4096 + 2 * 11008) + 2 * LARGEST + 4 * R64, 4 * R64, 8 * R64),
        ("qlora nf4", "fp32", 4 * REST + 33 * MATRICES // 64 + MATRICES // 4096 + 4 * LARGEST + 4 * R64, 4 * R64, 8 * R64),
        ("full", "bf16", 4 * PARAMETERS, 4 * PARAMETERS, 8 * PARAMETERS),
        ("full", "fp32", 4 * PARAMETERS, 4 * PARAMETERS, 8 * PARAMETERS),
    ],
)
def test_bytes_per_rank(method: str, precision: str, weights: int, gradients: int, optimizer: int, processes: int) -> None:
    """A frozen base in the run's precision or quantised, what is trained in fp32; with DDP every rank holds all of it once."""
    count = PARAMETERS if method == "full" else R64
    state = state_bytes(trained(method, count, processes=processes, precision=precision))
    assert (state.weights, state.gradients, state.optimizer) == (weights, gradients, optimizer)


@pytest.mark.parametrize(
    ("optimizer", "full", "adapters"),
    [
        ("adamw", 8 * PARAMETERS, 8 * R64),
        ("adamw-8bit", 8 * OUTSIDE // 2 + (2 + 8 / 256) * (PARAMETERS - OUTSIDE // 2), (2 + 8 / 256) * R64),
        ("adafactor", 4 * PARAMETERS // 60, 4 * R64 // 60),
        ("lion", 4 * PARAMETERS, 4 * R64),
        ("muon", 8 * OUTSIDE + 4 * (PARAMETERS - OUTSIDE), 4 * R64),
    ],
)
def test_state_of_an_optimizer(optimizer: str, full: float, adapters: float) -> None:
    """Bytes, with all weights trained and with adapters."""
    assert state_bytes(trained("full", PARAMETERS, optimizer)).optimizer == pytest.approx(full, abs=8)
    assert state_bytes(trained("lora", R64, optimizer)).optimizer == pytest.approx(adapters, abs=8)


@pytest.mark.parametrize("processes", [1, 2, 8])
@pytest.mark.parametrize(
    ("method", "precision", "sharding", "weights", "gathered", "gradients", "whole_gradients"),
    [
        ("lora", "bf16", "full", 2 * PARAMETERS + 4 * R64, 2 * (OUTSIDE + 2 * LAYER), 4 * R64, 6 * R64 // 32),
        ("lora", "fp32", "full", 4 * PARAMETERS + 4 * R64, 4 * (OUTSIDE + 2 * LAYER), 4 * R64, 8 * R64 // 32),
        ("lora", "bf16", "grad", 2 * PARAMETERS + 4 * R64, 2 * PARAMETERS, 4 * R64, 6 * R64 // 32),
        ("qlora nf4", "bf16", "full", NF4 + 4 * R64, NF4_WHOLE + 2 * OUTSIDE + 2 * (NF4 - 2 * OUTSIDE) // 32, 4 * R64, 6 * R64 // 32),
        ("qlora nf4", "bf16", "grad", NF4 + 4 * R64, NF4_WHOLE + NF4, 4 * R64, 6 * R64 // 32),
        ("full", "bf16", "full", 4 * PARAMETERS, 2 * (OUTSIDE + 2 * LAYER), 4 * PARAMETERS, 6 * OUTSIDE),
        ("full", "fp32", "full", 4 * PARAMETERS, 4 * (OUTSIDE + 2 * LAYER), 4 * PARAMETERS, 8 * OUTSIDE),
        ("full", "bf16", "grad", 4 * PARAMETERS, 2 * PARAMETERS, 4 * PARAMETERS, 6 * OUTSIDE),
    ],
)
def test_bytes_per_rank_of_shards(
    method: str, precision: str, sharding: Any, weights: int, gathered: int, gradients: int, whole_gradients: int, processes: int
) -> None:  # fmt: skip
    """A share of everything; and whole for a time, in the run's precision: the weights outside the layers and two layers (grad: all
    layers), and the gradients of the largest part with a copy in fp32. Of a quantised base, the scales are whole as well."""
    count = PARAMETERS if method == "full" else R64
    strategy = RunStrategy(type="fsdp", sharding=sharding)
    state = state_bytes(trained(method, count, strategy=strategy, processes=processes, precision=precision))
    assert state.weights == pytest.approx(weights / processes + gathered, abs=1)
    assert state.gradients == pytest.approx(gradients / processes + whole_gradients, abs=1)
    assert state.optimizer == pytest.approx(8 * count / processes, abs=1)


@pytest.mark.parametrize("processes", [1, 2, 8])
@pytest.mark.parametrize(
    ("method", "precision", "stage", "weights", "divided_weights", "gradients", "divided_gradients"),
    [
        ("full", "bf16", 1, 2 * PARAMETERS, 4 * PARAMETERS, 4 * PARAMETERS, 4 * PARAMETERS),
        ("full", "bf16", 2, 2 * PARAMETERS, 4 * PARAMETERS, 6 * OUTSIDE, 8 * PARAMETERS),
        ("full", "bf16", 3, 2 * IN_USE + 4 * LIVE, 6 * PARAMETERS, 6 * OUTSIDE, 8 * PARAMETERS),
        ("full", "fp32", 1, 4 * PARAMETERS, 4 * PARAMETERS, 4 * PARAMETERS, 4 * PARAMETERS),
        ("full", "fp32", 3, 4 * IN_USE + 4 * LIVE, 8 * PARAMETERS, 8 * OUTSIDE, 8 * PARAMETERS),
        ("lora", "bf16", 1, 2 * PARAMETERS + 4 * R64, 4 * R64, 4 * R64, 4 * R64),
        ("lora", "bf16", 2, 2 * PARAMETERS + 4 * R64, 4 * R64, 6 * R64 // 32, 8 * R64),
        ("lora", "bf16", 3, 2 * IN_USE + 4 * LIVE, 2 * PARAMETERS + 8 * R64, 6 * R64 // 32, 8 * R64),
        ("qlora nf4", "bf16", 1, NF4 + NF4_WHOLE + 4 * R64, 4 * R64, 4 * R64, 4 * R64),
        ("qlora nf4", "bf16", 3, NF4_WHOLE + 2 * OUTSIDE + 2 * (NF4 - 2 * OUTSIDE) // 32 + 4 * LIVE, NF4 + 8 * R64, 6 * R64 // 32, 8 * R64),
    ],
)
def test_bytes_per_rank_of_zero(
    method: str, precision: str, stage: Any, weights: int, divided_weights: int, gradients: int, divided_gradients: int, processes: int
) -> None:  # fmt: skip
    """Weights to compute with (stage 3: a share, and those in use), a share of the copy that is updated, gradients (stages 2 and 3: a
    share, and the largest part's) with a second copy of the share, two buckets of them, and a share of the optimizer."""
    count = PARAMETERS if method == "full" else R64
    strategy = RunStrategy(type="deepspeed", zero_stage=stage)
    state = state_bytes(trained(method, count, strategy=strategy, processes=processes, precision=precision))
    assert state.weights == pytest.approx(weights + divided_weights / processes, abs=3)
    assert state.gradients == pytest.approx(gradients + divided_gradients / processes + 2 * 4 * min(count, BUCKET), abs=3)
    assert state.optimizer == pytest.approx(8 * count / processes, abs=1)


@pytest.mark.parametrize("processes", [1, 8])
@pytest.mark.parametrize(
    ("method", "stage", "offload", "weights", "divided_weights", "layer_gradients", "host"),
    [
        ("full", 2, "optimizer", 2 * PARAMETERS, 0, 6 * OUTSIDE, 20 * PARAMETERS),
        ("full", 3, "optimizer", 2 * IN_USE + 4 * LIVE, 2 * PARAMETERS, 6 * OUTSIDE, 20 * PARAMETERS),
        ("full", 3, "parameters", 2 * IN_USE + 4 * LIVE, 0, 6 * OUTSIDE, 22 * PARAMETERS),
        ("lora", 2, "optimizer", 2 * PARAMETERS + 4 * R64, 0, 6 * R64 // 32, 20 * R64),
        ("lora", 3, "parameters", 2 * IN_USE + 4 * LIVE, 0, 6 * R64 // 32, 2 * PARAMETERS + 24 * R64),
    ],
)
def test_bytes_per_rank_with_offload(
    method: str, stage: Any, offload: Any, weights: int, divided_weights: int, layer_gradients: int, host: int, processes: int
) -> None:  # fmt: skip
    """In bf16. On the GPU: weights, the gradients of a layer, and two buckets of them; at stage 2 a share of those of bf16 weights, in
    fp32. On the host, of what is trained: the copy, two gradients and the optimizer; with parameters also the weights."""
    count = PARAMETERS if method == "full" else R64
    strategy = RunStrategy(type="deepspeed", zero_stage=stage, offload=offload)
    state = state_bytes(trained(method, count, strategy=strategy, processes=processes))
    assert state.weights == pytest.approx(weights + divided_weights / processes, abs=3)
    summed = 4 * count / processes if (method, stage) == ("full", 2) else 0
    assert state.gradients == pytest.approx(layer_gradients + 2 * 4 * min(count, BUCKET) + summed, abs=3)
    assert state.optimizer == 0
    assert state.host == pytest.approx(host / processes, abs=6)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize(("size", "processes"), [(1, 1), (2, 2), (2, 8), (8, 8)])
def test_bytes_per_rank_of_tensor_parallelism(size: int, processes: int, precision: str) -> None:
    """A part of the base for each rank of a group, whatever the number of groups; adapters are counted as whole."""
    strategy, base = RunStrategy(type="tensor-parallel", tensor_parallel_size=size), 2 if precision == "bf16" else 4
    full, lora = (
        state_bytes(trained(method, count, strategy=strategy, processes=processes, precision=precision))
        for method, count in (("full", PARAMETERS), ("lora", R64))
    )
    assert (full.weights, full.gradients) == pytest.approx((4 * PARAMETERS / size, 4 * PARAMETERS / size), abs=1)
    assert full.optimizer == pytest.approx(8 * PARAMETERS / size, abs=1)
    assert lora.weights == pytest.approx(base * PARAMETERS / size + 4 * R64, abs=1)
    assert (lora.gradients, lora.optimizer) == (4 * R64, 8 * R64)


def test_what_the_plan_leaves_whole_is_on_every_rank() -> None:
    """A fifth of the base, with its gradients and its optimizer state; the rest is divided by eight."""
    strategy = RunStrategy(type="tensor-parallel", tensor_parallel_size=8)
    full, lora = (
        state_bytes(replace(trained(method, count, strategy=strategy, processes=8), undivided=0.2))
        for method, count in (("full", PARAMETERS), ("lora", R64))
    )
    assert full.weights == full.gradients == pytest.approx(4 * PARAMETERS * (0.2 + 0.8 / 8), abs=1)
    assert full.optimizer == pytest.approx(8 * PARAMETERS * (0.2 + 0.8 / 8), abs=1)
    assert lora.weights == pytest.approx(2 * PARAMETERS * (0.2 + 0.8 / 8) + 4 * R64, abs=1)


def test_ranks_that_divide_a_layer_divide_its_activations() -> None:
    """Those of the heads and of the feed-forward part; what goes along the residual stream is whole on each rank."""
    strategies = [RunStrategy(type="tensor-parallel", tensor_parallel_size=size) for size in (1, 2, 8)]
    models = [trained("lora", R64, strategy=strategy, processes=8) for strategy in strategies]
    one, two, eight = (need(model, Micro(1024, 512, 0), GPU) for model in models)
    divided = 2 * (one.activations - two.activations)
    assert divided > 0
    assert one.activations - eight.activations == pytest.approx(divided * 7 / 8, rel=1e-3)
    assert one.logits == eight.logits


@pytest.mark.parametrize(("length", "published"), [(256, 20.1), (1024, 21.5), (2048, 23.8), (4096, 29.7), (8192, 36.6)])
def test_published_peaks(length: int, published: float) -> None:
    """Qwen-7B, LoRA of rank 64, one row at a time on an A100 with flash attention (the table in Qwen's README): within 10 %."""
    estimate = need(trained("lora", R64), Micro(length, length, 0), GPU).total / GIB
    assert estimate == pytest.approx(published, rel=0.1), f"{estimate:.1f}"


def test_several_processes_need_more() -> None:
    """NCCL's buffers."""
    alone, together = (need(trained("lora", R64, processes=count), Micro(1024, 512, 0), GPU) for count in (1, 8))
    assert together.total - alone.total == 1100 << 20


def test_selective_checkpointing_keeps_results() -> None:
    """Of a token in each of Qwen-7B's 32 layers, in bf16: queries, keys, values and what attention makes of them (4 x 4096), two more of
    4096, two of 11008, and the adapters' 320; nothing else changes."""
    full = trained("lora", R64)
    needs = [need(model, Micro(tokens=1024, supervised=512, width=0), GPU) for model in (full, replace(full, policy="selective"))]
    assert needs[1].activations - needs[0].activations == 1024 * 32 * 2 * (4 * 4096 + 2 * 4096 + 2 * 11008 + 5 * 64)
    assert needs[1].weights == needs[0].weights
