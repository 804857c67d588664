"""Prometheus metrics. Labels take a few fixed values only, never a name that a client chose."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from finetune_server.lifecycle import Lifecycle

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """All metrics of one server, in a registry of their own."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("finetune_server_requests", "API requests answered.", ("endpoint", "status"), registry=self.registry)
        self.request_seconds = Histogram(
            "finetune_server_request_seconds", "Time to the end of the answer.", ("endpoint",), buckets=SECONDS, registry=self.registry
        )
        self.first_token_seconds = Histogram(
            "finetune_server_time_to_first_token_seconds",
            "Time from a request's arrival in the queue to its first token's text.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.prompt_tokens = Counter("finetune_server_prompt_tokens", "Tokens of the prompts taken.", registry=self.registry)
        self.completion_tokens = Counter("finetune_server_completion_tokens", "Tokens generated.", registry=self.registry)
        self._gauge("finetune_server_ready", "1 when the model answers and the server does not drain.", lambda: lifecycle.ready)
        self._gauge(
            "finetune_server_running_requests",
            "Requests that hold a slot.",
            lambda: lifecycle.model.engine.load().running if lifecycle.model else 0,
        )
        self._gauge(
            "finetune_server_waiting_requests",
            "Requests that wait for a slot.",
            lambda: lifecycle.model.engine.load().waiting if lifecycle.model else 0,
        )

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)
