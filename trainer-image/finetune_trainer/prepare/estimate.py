"""Disk space for the later stages, and the refusal when there is obviously too little."""

from finetune_api.exit_codes import ExitCode
from finetune_api.result import Estimate
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure

MARGIN = 1.1
"""Tokenizer, reports, and what a file system takes for itself."""
FP32 = 4
OPTIMIZER = 8
"""Bytes a trained parameter: AdamW's two moments in fp32."""


def estimate(config: RunConfig, parameters: int, trained: int, data_bytes: int, base_bytes: int) -> Estimate:
    """What publish and train will write.

    `trained` are the parameters that change: the adapter's with LoRA, all of them otherwise. `data_bytes` and
    `base_bytes` lie in the workspace already, or will.
    """
    lora = config.method.type == "lora"
    stored = FP32 if config.hyperparameters.precision == "fp32" else 2
    onnx = FP32 * parameters if config.export.onnx is not None else 0
    model = stored * parameters + (FP32 * trained if lora else 0) + onnx
    state = (FP32 + OPTIMIZER) * trained
    checkpoints = (config.checkpoints.keep + 1) * state  # one more while the oldest is not yet deleted
    workspace = base_bytes + data_bytes + checkpoints + FP32 * trained
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
