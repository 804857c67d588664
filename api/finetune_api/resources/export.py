"""What is written beside the merged weights."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document


class OnnxExport(Document):
    """Export for the ONNX engine, with a check that its output matches PyTorch's."""

    precisions: Annotated[list[Literal["fp32"]], Field(min_length=1, max_length=1)] = ["fp32"]
    """precisions are the number formats to export. fp32 is the only one so far."""
    parity_prompts: Annotated[int, Field(ge=1, le=64)] = 4
    """parityPrompts is the number of validation prompts whose greedy continuations must be equal, token for token."""


class Export(Document):
    """Formats to write in addition to the merged safetensors."""

    onnx: OnnxExport | None = None
    """onnx exports an ONNX model for the onnx engine. If not set, no ONNX model is written."""
