"""Tokens, hours and cost before the training starts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune_api.result import Expectation, ResolvedParameter
from finetune_api.run_config import RunHardware
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.fit.expectation import expect
from finetune_trainer.prepare.hyperparameters import Facts, resolve_hyperparameters
from finetune_trainer.prepare.speeds import check_gpu, computes_bf16, peak_flops
from tests.unit.prepare.run import run_config

LENGTHS = np.full(1000, 100, dtype=np.int64)
H100 = {"gpus": 8, "gpuProduct": "NVIDIA-H100-80GB-HBM3", "pricePerGpuHour": 4.0, "currency": "USD"}


def expected(parameters: float = 8e9, **settings: Any) -> Expectation:
    """What is expected of a run over 1,000 examples of 100 tokens."""
    run = run_config(Path("/tmp"), **settings)
    facts = Facts(len(LENGTHS), ResolvedParameter(value=128, reason=""), int(parameters))
    return expect(run, resolve_hyperparameters(run, facts), int(parameters), LENGTHS)


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({"hyperparameters": {"epochs": 3}}, 300_000),
        ({"hyperparameters": {"epochs": 0.5, "batchSize": 10}}, 50_000),
        ({"hyperparameters": {"maxSteps": 7, "batchSize": 10}}, 7_000),
    ],
)
def test_tokens(settings: dict[str, Any], tokens: int) -> None:
    """All epochs together."""
    assert expected(**settings).tokens == tokens


@pytest.mark.parametrize(
    ("settings", "operations"),
    [({}, 4), ({"method": {"type": "full"}}, 6)],
)
def test_hours_and_cost(settings: dict[str, Any], operations: int) -> None:
    """Operations of parameters and tokens by the speed of the GPUs; frozen weights need no gradients."""
    hyper = {"epochs": 1000}
    found = expected(hardware=H100, hyperparameters=hyper, **settings)
    hours = operations * 8e9 * 1e8 / (8 * 989e12 * 0.35) / 3600
    assert found.hours == pytest.approx(hours, rel=0.05)
    assert found.cost == pytest.approx(hours * 8 * 4.0, abs=0.01)
    assert found.currency == "USD"
    assert f"{operations} x 8.0 billion parameters x 100,000,000 tokens at 8 x 35% of 989 TFLOP/s (NVIDIA-H100-80GB-HBM3" in found.basis


@pytest.mark.parametrize(
    ("method", "each", "beside"),
    [
        ({}, 4, 2),
        ({"objective": "dpo"}, 4, 2 + 2),  # the base's pass over all rows
        ({"objective": "kto"}, 6, 4 + 4),  # and over the mismatched answers, which are validated and stepped over as well
    ],
)
def test_validations_and_the_base_s_pass_take_their_time(method: dict[str, Any], each: int, beside: int) -> None:
    """One epoch with one validation of as many rows as are trained."""
    hyper = {"epochs": 1, "batchSize": 1, "gradientCheckpointing": False}
    settings = {"hyperparameters": hyper, "method": method, "evaluation": {"everySteps": 1000, "maxExamples": 1000}, "hardware": H100}
    run = run_config(Path("/tmp"), **settings)
    decided = resolve_hyperparameters(run, Facts(len(LENGTHS), ResolvedParameter(value=128, reason=""), int(8e13), 100, 1000, 100))
    values = decided.values.model_copy(update={"validation_examples": 1000})
    found = expect(run, replace(decided, values=values), int(8e13), LENGTHS)
    assert found.hours == pytest.approx((each + beside) * 8e13 * 1e5 / (8 * 989e12 * 0.35) / 3600, rel=0.05)


@pytest.mark.parametrize(
    ("hardware", "words"),
    [
        ({"gpus": 1, "gpuProduct": "ACME-1"}, "the GPU ACME-1 is unknown"),
        ({"gpus": 1}, "no node has a GPU product label"),
        ({}, "training.resources does not specify CPUs"),
    ],
)
def test_what_is_not_known(hardware: dict[str, Any], words: str) -> None:
    """No hours are better than made-up ones; the tokens are known all the same."""
    found = expected(hardware=hardware)
    assert (found.hours, found.cost) == (None, None)
    assert found.tokens > 0
    assert words in found.basis


def test_a_cpu_costs_hours_but_no_gpu_price() -> None:
    """Cores of all nodes."""
    one, two = (expected(1e8, hardware={"cpus": 4, "pricePerGpuHour": 2.0}, world={"nodes": nodes}).hours for nodes in (1, 2))
    assert one is not None
    assert two == pytest.approx(one / 2, rel=0.1)
    assert expected(1e8, hardware={"cpus": 4, "pricePerGpuHour": 2.0}).cost is None


@pytest.mark.parametrize(
    ("product", "teraflops", "bf16"),
    [
        ("NVIDIA-H100-80GB-HBM3", 989, True),
        ("NVIDIA-H100-PCIe", 756, True),
        ("NVIDIA-H100-NVL", 835, True),
        ("NVIDIA-H200", 989, True),
        ("NVIDIA-B200", 2250, True),
        ("NVIDIA-GH200-480GB", 989, True),
        ("NVIDIA-A100-SXM4-80GB", 312, True),
        ("NVIDIA-A100-SXM4-40GB-MIG-3g.20gb", 312 * 3 / 7, True),
        ("NVIDIA-A10", 125, True),
        ("NVIDIA-A10G", 70, True),
        ("NVIDIA-L4", 121, True),
        ("NVIDIA-L40", 181, True),
        ("NVIDIA-L40S", 362, True),
        ("NVIDIA-RTX-A6000", 155, True),
        ("NVIDIA-RTX-6000-Ada-Generation", 182, True),
        ("NVIDIA-GeForce-RTX-4090", 165, True),
        ("Tesla-T4", 65, False),
        ("Tesla-V100-SXM2-16GB", 125, False),
        ("AMD_Instinct_MI300X_OAM", 1307, True),
        ("ACME-1", None, True),
        ("", None, True),
    ],
)
def test_known_products(product: str, teraflops: float | None, bf16: bool) -> None:
    """As the node labels write them."""
    found = peak_flops(product, "bf16")
    assert found == (None if teraflops is None else pytest.approx(teraflops * 1e12))
    assert computes_bf16(product) == bf16


@pytest.mark.parametrize(
    ("product", "driver", "code"),
    [
        ("Tesla-V100-SXM2-16GB", None, "GpuNotSupported"),
        ("Tesla-P100-PCIE-16GB", 580, "GpuNotSupported"),
        ("Tesla-P40", 580, "GpuNotSupported"),
        ("NVIDIA-A100-SXM4-80GB", 535, "GpuDriverTooOld"),
        ("", 570, "GpuDriverTooOld"),
        ("Tesla-T4", 580, ""),
        ("NVIDIA-H100-80GB-HBM3", None, ""),
        ("", None, ""),
    ],
)
def test_gpus_that_cannot_run_the_image(product: str, driver: int | None, code: str) -> None:
    """Known before any GPU is asked for: by the product's and the driver's label."""
    hardware = RunHardware(gpus=1, gpu_product=product, gpu_driver=driver)
    if not code:
        check_gpu(hardware)
        return
    with pytest.raises(StageFailure) as refused:
        check_gpu(hardware)
    assert (refused.value.error.code, refused.value.error.param) == (code, "training.pod.nodeSelector")
