"""The model volume's space: too little is found early, and named when it runs out."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from finetune_api.exit_codes import ExitCode
from finetune_trainer.artifacts.exporter import Exporter, ModelSize
from finetune_trainer.failure import StageFailure, is_storage_full
from finetune_trainer.trained import TrainedRun
from finetune_trainer.workspace.files import free_bytes


def check_publish_space(artifacts: Iterable[Exporter], run: TrainedRun, root: Path, what: str) -> None:
    """Raises StageFailure (StorageFull) when the volume cannot hold these artifacts; `what` is for people: "the model needs"."""
    size = ModelSize(run.prepared.summary.base_parameters, precision=run.prepared.hyperparameters.precision)
    needed, free = sum(artifact.size(size) for artifact in artifacts), free_bytes(root)
    if free < needed:
        raise storage_full(root, f"{free / 1e6:.0f} MB are free, {what} about {needed / 1e6:.0f} MB")


@contextlib.contextmanager
def storage_full_names(root: Path) -> Iterator[None]:
    """Turns a write that failed for lack of space into a failure that names the volume and the field."""
    try:
        yield
    except Exception as exc:
        if is_storage_full(exc):
            raise storage_full(root, f"{free_bytes(root) / 1e6:.0f} MB are free") from exc
        raise


def storage_full(root: Path, facts: str) -> StageFailure:
    """The model volume is too small."""
    return StageFailure(
        ExitCode.STORAGE_FULL,
        "StorageFull",
        f"the model volume {root} is full ({facts}): start a new job with a larger output.storage.size",
        param="output.storage.size",
    )
