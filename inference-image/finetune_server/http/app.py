"""The HTTP app: routes, errors and the gate around them."""

from fastapi import FastAPI

from finetune_server.http.admission import Admission
from finetune_server.http.errors import install_error_handlers
from finetune_server.http.gate import Gate
from finetune_server.http.routes import chat, classify, completions, embeddings, models, probes, token_classify
from finetune_server.lifecycle import Lifecycle
from finetune_server.metrics import Metrics


def create_app(lifecycle: Lifecycle, admission: Admission, api_key: str | None) -> FastAPI:
    """An app that answers probes from the start and API requests once `lifecycle.model` is set."""
    metrics = Metrics(lifecycle)
    app = FastAPI(title="finetune-server", openapi_url=None)
    app.state.lifecycle = lifecycle
    app.state.admission = admission
    app.state.metrics = metrics
    for module in (chat, completions, classify, token_classify, embeddings, models, probes):
        app.include_router(module.router)
    install_error_handlers(app)
    app.add_middleware(Gate, lifecycle=lifecycle, admission=admission, metrics=metrics, api_key=api_key)
    return app
