"""The operator's own metrics. No label contains the name of an object. Counters are incremented where the event happens."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()

API_REQUESTS = Counter(
    "finetune_operator_api_requests_total", "Requests to the API server by method and status.", ["method", "status"], registry=REGISTRY
)
RECONCILES = Counter(
    "finetune_operator_reconcile_total", "Reconciles by kind and result: settled, failed.", ["kind", "result"], registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "finetune_operator_reconcile_seconds",
    "Wall time of a reconcile by kind.",
    ["kind"],
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0),
    registry=REGISTRY,
)
LISTS = Counter(
    "finetune_operator_lists_total",
    "Full lists by resource; more than one in 15 minutes each means broken watches.",
    ["resource"],
    registry=REGISTRY,
)
LEADING = Gauge("finetune_operator_leading", "1 while this process holds the Lease.", registry=REGISTRY)


class Snapshot(Collector):
    """Computed at scrape time: depth of the queue, jobs by phase, disconnected watches."""

    def __init__(self, depth: Callable[[], int], phases: Callable[[], Mapping[str, int]], dead: Callable[[], int]) -> None:
        self._depth = depth
        self._dead = dead
        self._phases = phases

    def collect(self) -> Iterable[Metric]:
        """The three gauges."""
        yield GaugeMetricFamily("finetune_operator_queue_depth", "Objects waiting for a reconcile.", value=self._depth())
        yield GaugeMetricFamily("finetune_operator_watches_down", "Watches that have been down for 20 seconds.", value=self._dead())
        jobs = GaugeMetricFamily("finetune_jobs", "FineTuneJobs by phase.", labels=["phase"])
        for phase, number in sorted(self._phases().items()):
            jobs.add_metric([phase], number)
        yield jobs
