"""What a rank computes on: the GPU assigned to it, or the CPU if none was. Knows no other ranks.

A pod that holds a GPU and cannot use it must say so: trained on its CPU, a run of an hour takes days and pays for the GPU.
"""

import gc
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from finetune_trainer.failure import StageFailure, invalid

NO_GPUS = ("", "none", "void")
"""Values of NVIDIA_VISIBLE_DEVICES that give a container no GPU."""


def given_gpu(environment: Mapping[str, str], devices: Path) -> str:
    """How it shows that this container was given a GPU, "" when nothing does; `devices` is /dev."""
    if nodes := sorted(path.name for path in devices.glob("nvidia[0-9]*")):
        return f"{devices / nodes[0]} exists"
    visible = environment.get("NVIDIA_VISIBLE_DEVICES", "").strip()
    return "" if visible in NO_GPUS else f"NVIDIA_VISIBLE_DEVICES is {visible!r}"


def choose_device(local_rank: int) -> torch.device:
    """This rank's device, made the current one; raises what check_device does."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (failure := check_device(local_rank, count, given_gpu(os.environ, Path("/dev")))) is not None:
        raise failure
    if count == 0:
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def check_device(local_rank: int, count: int, given: str) -> StageFailure | None:
    """The failure of a rank that cannot compute where it should; `count` GPUs can be used, `given` is given_gpu's."""
    if count == 0 and given:
        return invalid(
            "GpuNotUsable",
            f"this pod was given a GPU ({given}), but torch {torch.__version__} cannot use it ({why_unusable()}): install an NVIDIA driver "
            "that is new enough on the node, and see that the pod runs under the NVIDIA container runtime",
        )
    if count and local_rank >= count:
        return invalid(
            "TooFewGpus",
            f"rank {local_rank} of this node needs a GPU of its own, but torch can use {count}: set training.gpusPerNode to {count}, "
            "or see why the others are hidden (CUDA_VISIBLE_DEVICES, MIG)",
            param="training.gpusPerNode",
        )
    return None


def why_unusable() -> str:
    """What torch says when it is made to use a GPU, in one line."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as exc:  # the latter where torch was built without CUDA
        return str(exc).splitlines()[0]
    return "it finds none"


def free_gpu_memory(device: torch.device) -> int | None:
    """Free bytes of a GPU; None for a CPU."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def device_name(device: torch.device) -> str:
    """The device as its owner knows it."""
    return f"{torch.cuda.get_device_name(device)} ({device})" if device.type == "cuda" else "the CPU"


def release_memory() -> None:
    """Frees the memory of models that are no longer used: they hold reference cycles."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
