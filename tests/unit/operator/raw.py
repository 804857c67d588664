"""Objects as the API server sends them, with what a test does not care about filled in."""

from typing import Any

Raw = dict[str, Any]


def metadata(name: str, **more: Any) -> Raw:
    """uid and version are made up from the name, unless given."""
    return {"namespace": "a", "name": name, "uid": f"uid-{name}", "resourceVersion": "1", **more}


def job(name: str = "tune", version: int = 1, status: Raw | None = None, base: str = "", **more: Any) -> Raw:
    """A FineTuneJob; its output has its own name."""
    source = {"fineTunedModel": {"name": base}} if base else {"source": "pvc://data/base"}
    return {
        "metadata": metadata(name, resourceVersion=str(version), **more),
        "spec": {"base": source, "dataset": {"train": {"source": "pvc://data/rows.jsonl"}}},
        "status": status or {},
    }


def model(name: str, version: int = 1, base: str = "", status: Raw | None = None) -> Raw:
    """A FineTunedModel."""
    source = {"fineTunedModel": {"name": base}} if base else {"source": "pvc://data/base"}
    spec = {"type": "adapter", "base": source, "source": {"claim": {"name": f"{name}-model"}}}
    return {"metadata": metadata(name, resourceVersion=str(version)), "spec": spec, "status": status or {}}


def deployment(name: str, of: str, version: int = 1, serving: tuple[str, ...] = ()) -> Raw:
    """A ModelDeployment."""
    status = {"serving": [{"model": model, "uid": f"uid-{model}"} for model in serving]}
    return {"metadata": metadata(name, resourceVersion=str(version)), "spec": {"model": {"name": of}}, "status": status}


def pod(name: str, version: int = 1, labels: Raw | None = None, status: Raw | None = None, **more: Any) -> Raw:
    """A pod on a node."""
    return {
        "metadata": metadata(name, resourceVersion=str(version), labels=labels or {}, **more),
        "spec": {"nodeName": "node-1"},
        "status": status or {},
    }
