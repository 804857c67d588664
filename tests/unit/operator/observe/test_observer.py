"""What a model is seen to be used by, out of the cache."""

from typing import Any

import pytest

from finetune_operator.listen.warning_events import WarningEvents
from finetune_operator.objects.cache import Cache, Key
from finetune_operator.objects.parse import parse
from finetune_operator.objects.resources import CLAIMS, FINETUNE_JOBS, FINETUNED_MODELS
from finetune_operator.observe.observer import Observer
from finetune_operator.observe.reads import Reads
from finetune_operator.observe.stage_logs import StageLogs
from finetune_operator.settings import Settings
from tests.unit.operator import raw

pytestmark = pytest.mark.unit


def observer(cache: Cache) -> Observer:
    """Over a cache that holds all that is asked for."""
    nobody: Any = None
    settings = Settings(trainer_image="trainer", server_images={"onnx": "server"})
    events = WarningEvents(nobody, cache, lambda keys: None)
    return Observer(cache, Reads(nobody), StageLogs(nobody), events, {}, lambda: settings, lambda keys: None)


@pytest.mark.parametrize(
    ("path", "base", "used"),
    [
        ("", {"fineTunedModel": {"name": "m"}}, True),
        ("", {"source": "pvc://m-model"}, True),
        ("a", {"source": "pvc://m-model/a/merged"}, True),
        ("/a/", {"source": "pvc://m-model/a"}, True),
        ("a", {"source": "pvc://m-model/ab"}, False),
        ("", {"source": "pvc://m-model-of-others"}, False),
        ("", {"fineTunedModel": {"name": "other"}}, False),
        ("", {"source": "s3://m-model/a"}, False),
    ],
)
async def test_who_starts_from_a_model(path: str, base: dict[str, Any], used: bool) -> None:
    """By its name or by an address in its files: a job that is not over, and a model."""
    cache, kept, job, derived = Cache(), raw.model("m"), raw.job("tune"), raw.model("next")
    kept["spec"]["source"]["claim"]["path"] = path
    job["spec"]["base"] = derived["spec"]["base"] = base
    cache.put(parse(CLAIMS, {"metadata": raw.metadata("m-model", labels={"finetune.dev/model": "m"}), "spec": {}}))
    for resource, obj in ((FINETUNED_MODELS, kept), (FINETUNED_MODELS, derived), (FINETUNE_JOBS, job)):
        cache.put(parse(resource, obj))
    seen = await observer(cache).model(Key("FineTunedModel", "a", "m"), 0.0)
    assert seen is not None
    assert ([user.meta.name for user in seen.tuning], [user.meta.name for user in seen.derived]) == (["tune"] * used, ["next"] * used)
    job["metadata"]["resourceVersion"], job["status"] = "2", {"phase": "Succeeded"}
    cache.put(parse(FINETUNE_JOBS, job))
    seen = await observer(cache).model(Key("FineTunedModel", "a", "m"), 0.0)
    assert seen is not None
    assert seen.tuning == ()
