"""POST /v1/classify, in the shape of vLLM's /classify."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from finetune_server.http.dependencies import MetricsDependency, SequenceClassifierDependency, check_model_name
from finetune_server.http.errors import json_response
from finetune_server.http.routes.classifications import Classifications
from finetune_server.http.schemas.body import body_of
from finetune_server.http.schemas.classification import ClassifyBody

router = APIRouter()


@router.post("/v1/classify")
async def classify(
    request: Request,
    model: SequenceClassifierDependency,
    body: Annotated[ClassifyBody, Depends(body_of(ClassifyBody))],
    metrics: MetricsDependency,
) -> Response:
    """The classes of each text or pair of texts."""
    check_model_name(body.model, model)
    inputs = [one if isinstance(one, str) else (one[0], one[1]) for one in body.input]
    classifications = await Classifications.of(request, model, inputs, truncate=body.truncate)
    logits = await classifications.logits(request, metrics)
    return json_response(classifications.response("classify", [model.classes.judge(row) for row in logits]))
