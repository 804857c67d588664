"""GET /healthz, /readyz and /metrics: for the kubelet and Prometheus, without an API key."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from finetune_server.http.dependencies import LifecycleDependency, MetricsDependency
from finetune_server.http.errors import json_response

router = APIRouter()


@router.get("/healthz")
async def healthz(lifecycle: LifecycleDependency) -> Response:
    """200, or 503 if only a restart helps."""
    return json_response({"status": lifecycle.state}, 503 if lifecycle.broken else 200)


@router.get("/readyz")
async def readyz(lifecycle: LifecycleDependency) -> Response:
    """200 if requests should be sent here, otherwise 503."""
    return json_response({"status": lifecycle.state}, 200 if lifecycle.ready else 503)


@router.get("/metrics")
async def metrics_text(metrics: MetricsDependency) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
