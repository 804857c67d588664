"""How an exported graph is loaded for the CPU. Knows no graph's inputs."""

from pathlib import Path

import onnxruntime

from finetune_trainer.stage.cores import available_cores


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """As many threads as the container has cores; they sleep while they wait, as those of cores.thread_settings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
