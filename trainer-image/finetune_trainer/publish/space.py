"""The model volume's space: too little is found early, and named when it runs out."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure, is_storage_full
from finetune_trainer.files import free_bytes
from finetune_trainer.publish.inputs import Inputs


def check_space(inputs: Inputs, root: Path) -> None:
    """Refuses at once what would fill the volume after an hour's work."""
    check_free(root, inputs, {"bf16": 2, "fp32": 4}[inputs.prepared.hyperparameters.precision], "the model needs")


def check_onnx_space(inputs: Inputs, root: Path) -> None:
    """Refuses an export in fp32 that would fill the volume."""
    check_free(root, inputs, 4, "the ONNX model needs")


def check_free(root: Path, inputs: Inputs, bytes_each: int, what: str) -> None:
    """Room for every parameter."""
    needed, free = inputs.prepared.summary.base_parameters * bytes_each, free_bytes(root)
    if free < needed:
        raise storage_full(root, f"{free / 1e6:.0f} MB are free, {what} about {needed / 1e6:.0f} MB")


@contextlib.contextmanager
def storage_full_names(root: Path) -> Iterator[None]:
    """Turns a write that failed for want of space into a failure that names the volume and the field."""
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
