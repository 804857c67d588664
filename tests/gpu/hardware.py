"""What GPUs this machine has, and what of the tests it can run."""

import platform

import torch

from finetune_trainer.distributed.device import why_unusable

BF16_CAPABILITY = (8, 0)


def count() -> int:
    """Usable GPUs."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def machine() -> dict[str, str]:
    """What the figures of a table depend on."""
    names = [torch.cuda.get_device_name(number) for number in range(count())]
    return {
        "GPUs": ", ".join(names) or "none",
        "torch": torch.__version__,
        "CUDA": torch.version.cuda or "none",
        "Python": platform.python_version(),
    }


def reason_to_skip(needed: int, *, bf16: bool = False) -> str:
    """Why a test for so many GPUs cannot run here, "" if it can."""
    found = count()
    capability = torch.cuda.get_device_capability(0) if found else (0, 0)
    return reason(needed, found, why_unusable() if found == 0 else "", capability, bf16=bf16)


def reason(needed: int, found: int, unusable: str, capability: tuple[int, int], *, bf16: bool) -> str:
    """The same for a machine with `found` GPUs; `unusable` is what torch says where it finds none."""
    if found == 0:
        return f"no GPU: {unusable.split('. ')[0]}"
    if found < needed:
        return f"needs {needed} GPUs, this machine has {found}"
    if bf16 and capability < BF16_CAPABILITY:
        return f"needs bf16 (compute capability 8.0), this GPU has {capability[0]}.{capability[1]}"
    return ""
