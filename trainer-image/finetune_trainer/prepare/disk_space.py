"""Disk space for the later stages, and the refusal when there is obviously too little."""

from dataclasses import dataclass

from finetune_api.exit_codes import ExitCode
from finetune_api.result import Estimate
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts import wanted_artifacts
from finetune_trainer.artifacts.exporter import ModelSize
from finetune_trainer.failure import StageFailure
from finetune_trainer.methods.method import FP32

MARGIN = 1.1
"""Reports, and what a file system takes for itself."""


@dataclass(frozen=True)
class Sizes:
    """What the estimate is made of."""

    model: ModelSize
    downloaded: int
    """Bytes of the base model, where it has to come into the workspace."""
    data: int
    """Bytes of the prepared rows."""
    optimizer: int
    """Bytes of the optimizer's state."""


def estimate(config: RunConfig, sizes: Sizes) -> Estimate:
    """What publish writes to the model volume, and what the workspace holds at most."""
    model = sum(artifact.size(sizes.model) for artifact in wanted_artifacts(config))
    trained = sizes.model.trained
    kept = config.checkpoints.keep + (config.evaluation.every_steps is not None)
    if config.checkpoints.publish:
        model += kept * model + FP32 * trained  # and the weights of one of them, put together
    copied = config.checkpoints.store is not None  # a copy that is being written keeps its checkpoint
    checkpoints = (kept + 1 + copied) * (FP32 * trained + sizes.optimizer)  # one more until the oldest is deleted
    workspace = sizes.downloaded + sizes.data + checkpoints + FP32 * trained
    return Estimate(model_bytes=int(MARGIN * model), workspace_bytes=int(MARGIN * workspace))


def check_space(needed: int, free: int, what: str) -> None:
    """Raises StageFailure StorageFull when `needed` bytes more cannot fit into the workspace."""
    if needed > free:
        raise StageFailure(
            ExitCode.STORAGE_FULL,
            "StorageFull",
            f"the workspace is too small: {what} {readable(needed)} more and {readable(free)} are free; start a new job with a "
            "larger workspace.storage.size",
            param="workspace.storage.size",
        )


def readable(count: int) -> str:
    """Bytes for people, in the units of a claim's size: 1.5 GiB."""
    size, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
