"""What the routes take from the app. All of it is in memory, so no dependency needs a thread."""

from typing import Annotated

from fastapi import Depends, Request

from finetune_server.engines.encoder_config import EncoderTask
from finetune_server.http.admission import Admission
from finetune_server.http.errors import ApiError, unavailable
from finetune_server.lifecycle import Lifecycle
from finetune_server.metrics import Metrics
from finetune_server.models.served_model import AnyModel, Classifier, Embedder, LanguageModel

GENERATION_ENDPOINTS = ("POST /v1/chat/completions", "POST /v1/completions")
ENDPOINTS = {
    "sequence-classification": ("POST /v1/classify",),
    "token-classification": ("POST /v1/token-classify",),
    "text-embedding": ("POST /v1/embeddings",),
}


async def lifecycle_of(request: Request) -> Lifecycle:
    """The server's state."""
    lifecycle: Lifecycle = request.app.state.lifecycle
    return lifecycle


async def metrics_of(request: Request) -> Metrics:
    """The server's metrics."""
    metrics: Metrics = request.app.state.metrics
    return metrics


def admission_of(request: Request) -> Admission:
    """The server's admission."""
    admission: Admission = request.app.state.admission
    return admission


async def model_of(lifecycle: Annotated[Lifecycle, Depends(lifecycle_of)]) -> AnyModel:
    """The model. Raises ApiError, 503, while it is loaded."""
    model = lifecycle.model
    if model is None:
        raise unavailable("The model is still being loaded. Please retry.")
    return model


async def language_model_of(model: Annotated[AnyModel, Depends(model_of)]) -> LanguageModel:
    """The model. Raises ApiError, 400, for an encoder."""
    if not isinstance(model, LanguageModel):
        raise wrong_endpoint(model)
    return model


async def sequence_classifier_of(model: Annotated[AnyModel, Depends(model_of)]) -> Classifier:
    """The model. Raises ApiError, 400, unless it classifies whole inputs."""
    return classifier_of(model, "sequence-classification")


async def token_classifier_of(model: Annotated[AnyModel, Depends(model_of)]) -> Classifier:
    """The model. Raises ApiError, 400, unless it classifies tokens."""
    return classifier_of(model, "token-classification")


async def embedder_of(model: Annotated[AnyModel, Depends(model_of)]) -> Embedder:
    """The model. Raises ApiError, 400, unless it gives vectors to inputs."""
    if not isinstance(model, Embedder):
        raise wrong_endpoint(model)
    return model


def classifier_of(model: AnyModel, task: EncoderTask) -> Classifier:
    """A classifier for that task. Raises ApiError, 400, for other models."""
    if not isinstance(model, Classifier) or model.task != task:
        raise wrong_endpoint(model)
    return model


def wrong_endpoint(model: AnyModel) -> ApiError:
    """400 with the endpoints of the model."""
    endpoints = " or ".join(ENDPOINTS.get(model.task, GENERATION_ENDPOINTS))
    message = f"The model '{model.name}' is a model for {model.task} and is not available at this endpoint. Use {endpoints}."
    return ApiError(400, message, param="model", code="unsupported_endpoint")


def check_model_name(name: str, model: AnyModel) -> None:
    """Raises ApiError, 404, unless it is the served name."""
    if name != model.name:
        message = f"The model '{name}' does not exist. This server has '{model.name}'."
        raise ApiError(404, message, param="model", code="model_not_found")


LifecycleDependency = Annotated[Lifecycle, Depends(lifecycle_of)]
MetricsDependency = Annotated[Metrics, Depends(metrics_of)]
ModelDependency = Annotated[AnyModel, Depends(model_of)]
LanguageModelDependency = Annotated[LanguageModel, Depends(language_model_of)]
SequenceClassifierDependency = Annotated[Classifier, Depends(sequence_classifier_of)]
TokenClassifierDependency = Annotated[Classifier, Depends(token_classifier_of)]
EmbedderDependency = Annotated[Embedder, Depends(embedder_of)]
