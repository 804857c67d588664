"""What the routes take from the app."""

from typing import Annotated

from fastapi import Depends, Request

from finetune_server.http.errors import ApiError, unavailable
from finetune_server.lifecycle import Lifecycle
from finetune_server.metrics import Metrics
from finetune_server.served_model import ServedModel


def lifecycle_of(request: Request) -> Lifecycle:
    """The server's state."""
    lifecycle: Lifecycle = request.app.state.lifecycle
    return lifecycle


def metrics_of(request: Request) -> Metrics:
    """The server's metrics."""
    metrics: Metrics = request.app.state.metrics
    return metrics


def model_of(request: Request) -> ServedModel:
    """The model; 503 while it is loaded."""
    model = lifecycle_of(request).model
    if model is None:
        raise unavailable("The model is still being loaded. Please retry.")
    return model


def check_model_name(name: str, model: ServedModel) -> None:
    """404 for every name but the served one."""
    if name != model.name:
        message = f"The model '{name}' does not exist. This server has '{model.name}'."
        raise ApiError(404, message, param="model", code="model_not_found")


LifecycleDependency = Annotated[Lifecycle, Depends(lifecycle_of)]
MetricsDependency = Annotated[Metrics, Depends(metrics_of)]
ModelDependency = Annotated[ServedModel, Depends(model_of)]
