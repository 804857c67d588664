"""How fast known GPUs compute: dense bf16 matrix products, as their makers' data sheets say. Nothing here was measured by us.

Found by the node label nvidia.com/gpu.product, as GPU Feature Discovery writes it ("NVIDIA-H100-80GB-HBM3", "Tesla-V100-SXM2-16GB",
"NVIDIA-A100-SXM4-80GB-MIG-3g.40gb"), or amd.com/gpu.product-name.
"""

import re

from finetune_api.run_config import RunHardware
from finetune_trainer.failure import invalid

_TERAFLOPS = (
    ("GB300", 2500), ("GB200", 2500), ("B300", 2250), ("B200", 2250), ("B100", 1750),
    ("GH200", 989), ("H200", 989), ("H100-NVL", 835), ("H100-PCIE", 756), ("H100", 989), ("H800", 989), ("H20", 148),
    ("A100X", 312), ("A100", 312), ("A800", 312), ("A30", 165), ("A40", 150), ("A10G", 70), ("A10", 125), ("A16", 18), ("A2", 18),
    ("L40S", 362), ("L40", 181), ("L4", 121), ("RTX-PRO-6000", 500), ("RTX-6000-ADA", 182), ("RTX-A6000", 155), ("RTX-A5000", 111),
    ("RTX-5090", 210), ("RTX-4090", 165), ("RTX-3090", 71),
    ("V100", 125), ("T4", 65), ("P100", 19), ("P40", 12), ("RTX-8000", 130), ("RTX-6000", 130),
    ("MI355X", 2500), ("MI350X", 2300), ("MI325X", 1307), ("MI300X", 1307), ("MI300A", 981),
    ("MI250X", 383), ("MI250", 362), ("MI210", 181),
)  # fmt: skip
"""(part of the product's name, 10^12 operations a second), the more special name first. V100 and older: fp16, which they have instead."""
_TOO_OLD = frozenset({"V100", "P100", "P40"})
"""Compute capability 7.0 and lower: the wheel has code for 7.5 and newer."""
LEAST_DRIVER = 580
"""Of CUDA 13."""
_WITHOUT_BF16 = frozenset({"V100", "T4", "P100", "P40", "RTX-8000", "RTX-6000"})
_SHARES = {"bf16": 1.0, "fp16": 1.0, "tf32": 1 / 2, "fp32": 1 / 12}
"""Speed of a precision as a share of the bf16 speed, on most GPUs."""
_MIG = re.compile(r"MIG-(\d+)g", re.IGNORECASE)
_MIG_SLICES = 7


def family(product: str) -> str:
    """The line of the table that a product belongs to, "" for one that is not known."""
    name = re.sub(r"[\s_]+", "-", product.upper())
    return next((known for known, _ in _TERAFLOPS if re.search(rf"(?<![0-9A-Z]){known}(?![0-9A-Z])", name)), "")


def check_gpu(hardware: RunHardware) -> None:
    """Raises StageFailure for a GPU or a driver that is known not to run the trainer image's PyTorch."""
    if family(hardware.gpu_product) in _TOO_OLD:
        raise invalid(
            "GpuNotSupported",
            f"the training may run on a node whose GPU, {hardware.gpu_product}, is too old for the trainer image's PyTorch, which needs "
            "compute capability 7.5 (T4) or newer: choose other nodes with training.pod.nodeSelector",
            param="training.pod.nodeSelector",
        )
    if hardware.gpu_driver is not None and hardware.gpu_driver < LEAST_DRIVER:
        raise invalid(
            "GpuDriverTooOld",
            f"the training may run on a node with NVIDIA driver {hardware.gpu_driver}, and the trainer image's CUDA 13 needs "
            f"{LEAST_DRIVER} or newer: update the driver, or choose other nodes with training.pod.nodeSelector",
            param="training.pod.nodeSelector",
        )


def computes_bf16(product: str) -> bool:
    """False for a GPU that is known not to (compute capability below 8.0); nor does it compute in tf32 then."""
    return family(product) not in _WITHOUT_BF16


def peak_flops(product: str, precision: str) -> float | None:
    """Operations a second of one GPU, or of the slice of it that a MIG device is; None for a product that is not known."""
    known = family(product)
    if not known:
        return None
    flops = dict(_TERAFLOPS)[known] * 1e12
    if part := _MIG.search(product):
        flops *= int(part.group(1)) / _MIG_SLICES
    return flops * _SHARES[precision]
