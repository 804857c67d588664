"""The inference engines as deployments know them: what each serves and what its pods need.

An engine's other side, which loads models and computes, is an entry of `finetune_server.engines.ENGINES` with the same name.
"""

from dataclasses import dataclass
from typing import Literal

from finetune_api.model_directory import ArtifactFormat

EngineName = Literal["onnx"]


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """One way to serve models."""

    name: str
    artifact: ArtifactFormat
    """Format of the artifact that it loads."""
    needs: str
    """The field of a job that produces this artifact."""
    gpus: int = 0
    """GPUs of each server pod."""


ONNX = EngineFacts("onnx", artifact="onnx", needs="export.onnx")
ENGINES: dict[str, EngineFacts] = {engine.name: engine for engine in (ONNX,)}
