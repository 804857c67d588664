"""GET /v1/models and /v1/models/{id}."""

from fastapi import APIRouter
from starlette.responses import Response

from finetune_server.http.dependencies import ModelDependency, check_model_name
from finetune_server.http.errors import json_response
from finetune_server.models.served_model import AnyModel, Classifier, Embedder

router = APIRouter()


@router.get("/v1/models")
async def list_models(model: ModelDependency) -> Response:
    """The served model as a list."""
    return json_response({"object": "list", "data": [model_object(model)]})


@router.get("/v1/models/{name:path}")
async def retrieve_model(name: str, model: ModelDependency) -> Response:
    """The served model; 404 for another name."""
    check_model_name(name, model)
    return json_response(model_object(model))


def model_object(model: AnyModel) -> dict[str, object]:
    """OpenAI's model object, with the task and, for a classifier, its classes by index, or the size of vectors."""
    if isinstance(model, Embedder):
        own: dict[str, object] = {"dimensions": model.dimensions}
    else:
        own = {"labels": list(model.classes.names), "multi_label": model.classes.multi_label} if isinstance(model, Classifier) else {}
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": "finetune-operator", "task": model.task, **own}
