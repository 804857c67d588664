"""Prometheus metrics. Labels have a few fixed values, never a name chosen by a client."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from finetune_server.lifecycle import Lifecycle
from finetune_server.models.served_model import Encoder

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """All metrics of one server, in their own registry."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("finetune_server_requests", "API requests answered.", ("endpoint", "status"), registry=self.registry)
        self.request_seconds = Histogram(
            "finetune_server_request_seconds", "Time to the end of the response.", ("endpoint",), buckets=SECONDS, registry=self.registry
        )
        self.first_token_seconds = Histogram(
            "finetune_server_time_to_first_token_seconds",
            "Time from a request's arrival in the queue to its first token's text.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.prompt_tokens = Counter("finetune_server_prompt_tokens", "Tokens of the prompts and inputs taken.", registry=self.registry)
        self.completion_tokens = Counter("finetune_server_completion_tokens", "Tokens generated.", registry=self.registry)
        self.registry.register(Batches(lifecycle))
        self._gauge("finetune_server_ready", "1 if the model is loaded and the server is not draining.", lambda: lifecycle.ready)
        self._gauge(
            "finetune_server_running_requests",
            "Requests that the engine is processing.",
            lambda: lifecycle.model.engine.load().running if lifecycle.model else 0,
        )
        self._gauge(
            "finetune_server_waiting_requests",
            "Requests that are waiting in the queue.",
            lambda: lifecycle.model.engine.load().waiting if lifecycle.model else 0,
        )

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)


class Batches(Collector):
    """Counters of a classifier's engine; empty for a language model."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Rows per batch show how well requests are combined, padding per token what that costs."""
        if not isinstance(self._lifecycle.model, Encoder):
            return
        counts = self._lifecycle.model.engine.counts()
        yield CounterMetricFamily("finetune_server_batches", "Batches computed.", counts.batches)
        yield CounterMetricFamily("finetune_server_batch_rows", "Inputs computed.", counts.rows)
        yield CounterMetricFamily("finetune_server_batch_tokens", "Tokens computed, without padding.", counts.tokens)
        yield CounterMetricFamily("finetune_server_batch_padding_tokens", "Tokens computed only to pad.", counts.padding)
