"""What is written beside the merged weights."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document


class OnnxExport(Document):
    """Export for the ONNX engine, with proof that it answers as PyTorch does."""

    precisions: Annotated[list[Literal["fp32"]], Field(min_length=1, max_length=1)] = ["fp32"]
    """Which number formats are exported."""
    parity_prompts: Annotated[int, Field(ge=1, le=64)] = 4
    """Held-out prompts whose greedy continuation must be equal, token for token."""


class Export(Document):
    """What is written beside the merged safetensors."""

    onnx: OnnxExport | None = None
    """For the onnx engine; left out: no ONNX file."""
