"""What rank 0 uses of its machine while it trains: memory, and how much of the GPU's speed."""

import resource
import time
from dataclasses import dataclass, field

import torch

from finetune_trainer.methods.method import TrainingMethod
from finetune_trainer.prepare.speeds import peak_flops

PAUSE = 2.0
"""Seconds between two questions to the driver, at least: its answer is a mean over up to one second."""
KIBIBYTE = 1024


@dataclass(frozen=True)
class Work:
    """What a training computes, for the share of the GPUs' speed that it reaches (MFU, as in Chowdhery et al. 2022 without the term for
    attention): operations of the model, not those that checkpointing repeats."""

    operations: float
    """For each token."""
    peak: float | None
    """Operations a second of all GPUs; None where their speed is not known."""

    def share(self, tokens_per_second: float) -> float | None:
        """Of the peak; None where that is not known."""
        return None if self.peak is None else self.operations * tokens_per_second / self.peak


def work(device: torch.device, processes: int, method: TrainingMethod, parameters: int, precision: str) -> Work:
    """Of `processes` devices like this one."""
    name = torch.cuda.get_device_name(device).replace(" ", "-") if device.type == "cuda" else ""  # as a node's label writes it
    peak = peak_flops(name, precision)
    return Work(float(method.operations) * parameters, None if peak is None else processes * peak)


@dataclass
class Usage:
    """Peaks since the process began; rank 0's stand for all, whose shares are alike."""

    device: torch.device
    work: Work
    _utilization: float | None = field(default=None, init=False)
    _asked: float = field(default=float("-inf"), init=False)

    def figures(self, tokens_per_second: float) -> dict[str, float]:
        """By the name of their column in metrics.csv; what is not known is left out."""
        found = {"host_memory_bytes": peak_host_memory(), "mfu": rounded(self.work.share(tokens_per_second))}
        if self.device.type == "cuda":
            found |= {"gpu_memory_bytes": torch.cuda.max_memory_reserved(self.device), "gpu_utilization": self._gpu_utilization()}
        return {name: value for name, value in found.items() if value is not None}

    def _gpu_utilization(self) -> float | None:
        """Share of the last second in which the GPU computed anything (NVML); None where the driver does not say."""
        now = time.monotonic()
        if now - self._asked >= PAUSE:
            self._asked = now
            try:
                self._utilization = torch.cuda.utilization(self.device) / 100
            except Exception:  # pynvml is not installed, or one of its errors: a MIG device has no figure
                self._utilization, self._asked = None, float("inf")
        return self._utilization


def peak_host_memory() -> int:
    """Bytes of this process that were in memory at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE


def rounded(share: float | None) -> float | None:
    """To a hundredth of a percent."""
    return None if share is None else round(share, 4)
