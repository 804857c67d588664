"""How a graph is loaded for the CPU."""

from pathlib import Path

import onnxruntime

from finetune_server.model_directory import UnusableModel


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session. Raises UnusableModel with ONNX Runtime's message."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that spin between operators use up a container's CPU quota: without spinning, twice the tokens per CPU-second.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base class
        raise UnusableModel(f"{path}: ONNX Runtime cannot load it: {error}; export the model again with format onnx") from error
