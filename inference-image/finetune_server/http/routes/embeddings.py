"""POST /v1/embeddings."""

import base64
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Request
from numpy.typing import NDArray
from starlette.responses import Response

from finetune_server.classification.tokenizer import EncoderInput
from finetune_server.engines.interface import EncoderRow
from finetune_server.http.dependencies import EmbedderDependency, MetricsDependency, check_model_name
from finetune_server.http.errors import ApiError, json_response
from finetune_server.http.routes.classifications import Classifications
from finetune_server.http.schemas.body import body_of
from finetune_server.http.schemas.completion import Prompt
from finetune_server.http.schemas.embedding import EmbeddingBody
from finetune_server.models.served_model import Embedder

router = APIRouter()


@router.post("/v1/embeddings")
async def create_embeddings(
    request: Request,
    model: EmbedderDependency,
    body: Annotated[EmbeddingBody, Depends(body_of(EmbeddingBody))],
    metrics: MetricsDependency,
) -> Response:
    """The vector of each input, of length 1."""
    check_model_name(body.model, model)
    check_dimensions(body.dimensions, model)
    inputs = await Classifications.of(request, model, [encoded(one) for one in body.input], truncate=False)
    vectors = await inputs.logits(request, metrics)
    data = [
        {"object": "embedding", "index": index, "embedding": shown(vector, body.encoding_format)} for index, vector in enumerate(vectors)
    ]
    tokens = inputs.usage["prompt_tokens"]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_response({"object": "list", "data": data, "model": model.name, "usage": usage})


def check_dimensions(wanted: int | None, model: Embedder) -> None:
    """Raises ApiError, as OpenAI does for models whose vectors mean nothing once they are shortened."""
    if wanted not in (None, model.dimensions):
        message = f"This model does not support specifying dimensions: its embeddings have {model.dimensions}. Leave 'dimensions' out."
        raise ApiError(400, message, param="dimensions", code="invalid_value")


def encoded(one: Prompt) -> str | EncoderInput:
    """Token ids are taken as they are, special tokens included; none is added."""
    return one if isinstance(one, str) else EncoderInput(EncoderRow(tuple(one), (0,) * len(one)))


def shown(vector: NDArray[np.float32], encoding_format: str) -> list[float] | str:
    """Numbers, or the bytes of little-endian fp32 in base64."""
    if encoding_format == "base64":
        return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()
    return [float(number) for number in vector]
