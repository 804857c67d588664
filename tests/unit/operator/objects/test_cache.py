"""What the cache keeps, and whom it wakes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_operator.objects.cache import Cache, Key, key_of
from finetune_operator.objects.parse import Record, parse
from finetune_operator.objects.records import FineTunedModel, FineTuneJob, ModelDeployment, Pod
from finetune_operator.objects.resources import FINETUNE_JOBS, FINETUNED_MODELS, MODEL_DEPLOYMENTS, PODS
from tests.unit.operator import raw

pytestmark = pytest.mark.unit

TUNE = Key("FineTuneJob", "a", "tune")
MODEL = Key("FineTunedModel", "a", "m")
SERVER = Key("ModelDeployment", "a", "server")


def pod(version: int = 1, **more: raw.Raw) -> Record:
    return parse(PODS, raw.pod("p", version, **more))


def job(version: int = 1, **more: raw.Raw | str) -> Record:
    return parse(FINETUNE_JOBS, raw.job("tune", version, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "woken"),
    [
        ({}, set()),
        ({"finetune.dev/job": "tune"}, {TUNE}),
        ({"finetune.dev/model": "m"}, {MODEL}),
        ({"finetune.dev/deployment": "server", "finetune.dev/model": "m"}, {SERVER, MODEL}),
    ],
)
def test_a_child_wakes_its_owners(labels: raw.Raw, woken: set[Key]) -> None:
    """By label, when it appears and when it goes."""
    cache = Cache()
    assert cache.put(pod(labels=labels)) == woken
    assert cache.remove(Key("Pod", "a", "p"), "uid-p") == woken


def test_a_child_that_moves_wakes_both_owners() -> None:
    """A label that changes concerns the old owner, too."""
    cache = Cache()
    cache.put(pod(1, labels={"finetune.dev/job": "tune"}))
    assert cache.put(pod(2, labels={"finetune.dev/job": "other"})) == {TUNE, TUNE._replace(name="other")}
    assert cache.children(TUNE, Pod) == []


@pytest.mark.parametrize(
    ("record", "woken"),
    [
        (parse(FINETUNE_JOBS, raw.job("tune")), {TUNE, MODEL._replace(name="tune")}),
        (parse(FINETUNE_JOBS, raw.job("tune", base="m")), {TUNE, MODEL, MODEL._replace(name="tune")}),
        (parse(FINETUNED_MODELS, raw.model("m")), {MODEL}),
        (parse(FINETUNED_MODELS, raw.model("m", base="parent")), {MODEL, MODEL._replace(name="parent")}),
        (parse(MODEL_DEPLOYMENTS, raw.deployment("server", of="m")), {SERVER, MODEL}),
        (parse(MODEL_DEPLOYMENTS, raw.deployment("server", of="m", serving=("old",))), {SERVER, MODEL, MODEL._replace(name="old")}),
    ],
)
def test_a_user_wakes_its_models(record: Record, woken: set[Key]) -> None:
    """What an object names, it may keep from being deleted: the models must know."""
    assert Cache().put(record) == woken


def test_models_with_one_base_do_not_wake_each_other() -> None:
    """Hundreds may start from the same claim: a change of one is its own affair, unless it starts from the other's files."""
    cache = Cache()
    for name in ("m", "n"):
        cache.put(parse(FINETUNED_MODELS, raw.model(name)))
    verified = raw.model("n", 2, status={"sizeBytes": 5})
    assert cache.put(parse(FINETUNED_MODELS, verified)) == {Key("FineTunedModel", "a", "n")}
    derived = raw.model("d")
    derived["spec"]["base"] = {"source": "pvc://m-model/merged"}
    assert cache.put(parse(FINETUNED_MODELS, derived)) == {Key("FineTunedModel", "a", "d"), Key("FineTunedModel", "a", "m")}


def test_a_base_on_a_model_s_claim_wakes_the_model() -> None:
    """When it appears and when it goes; the model's appearance finds it, and one on another claim does not matter."""
    cache, tuned = Cache(), raw.job("tune")
    cache.put(parse(FINETUNED_MODELS, raw.model("m")))
    for claim, woken in (("m-model", {MODEL}), ("other", set())):
        tuned["spec"]["base"] = {"source": f"pvc://{claim}/merged"}
        assert cache.put(parse(FINETUNE_JOBS, tuned)) == {TUNE, MODEL._replace(name="tune"), *woken}
        assert [found.meta.name for found in cache.on_claim("a", claim, FineTuneJob)] == ["tune"]
        assert cache.remove(TUNE, tuned["metadata"]["uid"]) == {TUNE, MODEL._replace(name="tune"), *woken}
        assert cache.on_claim("a", claim, FineTuneJob) == []
        tuned["metadata"]["uid"] = "uid-again"


def test_a_model_wakes_its_users() -> None:
    """The jobs that make it or start from it, the models made from it, the deployments that serve or still mount it."""
    cache = Cache()
    for record in (
        parse(FINETUNE_JOBS, raw.job("m")),
        parse(FINETUNE_JOBS, raw.job("continued", base="m")),
        parse(FINETUNED_MODELS, raw.model("child", base="m")),
        parse(MODEL_DEPLOYMENTS, raw.deployment("server", of="m")),
        parse(MODEL_DEPLOYMENTS, raw.deployment("leaving", of="other", serving=("m",))),
        parse(MODEL_DEPLOYMENTS, raw.deployment("unrelated", of="other")),
    ):
        cache.put(record)
    woken = cache.put(parse(FINETUNED_MODELS, raw.model("m")))
    names = {"FineTuneJob": {"m", "continued"}, "FineTunedModel": {"m", "child"}, "ModelDeployment": {"server", "leaving"}}
    assert woken == {Key(kind, "a", name) for kind, found in names.items() for name in found}
    assert [found.meta.name for found in cache.users("a", "m", ModelDeployment)] == ["leaving", "server"]
    assert [found.meta.name for found in cache.users("a", "m", FineTuneJob)] == ["continued", "m"]
    assert [found.meta.name for found in cache.users("a", "m", FineTunedModel)] == ["child"]


@pytest.mark.parametrize(
    ("change", "woken"),
    [
        ({"status": {"phase": "Training", "progressText": "3%"}}, {TUNE}),
        ({"status": {"phase": "Succeeded"}}, {TUNE, MODEL, MODEL._replace(name="tune")}),
        ({"base": "other"}, {TUNE, MODEL, MODEL._replace(name="other"), MODEL._replace(name="tune")}),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, {TUNE, MODEL, MODEL._replace(name="tune")}),
    ],
)
def test_a_job_at_work_wakes_itself_alone(change: raw.Raw, woken: set[Key]) -> None:
    """Its models when it is over, or names others."""
    cache = Cache()
    cache.put(job(1, base="m", status={"phase": "Training"}))
    assert cache.put(job(2, **{"base": "m", "status": {"phase": "Training"}, **change})) == woken


def test_a_change_that_no_plan_reads_wakes_nobody() -> None:
    """A new resourceVersion alone is taken, so that the next write is made against it."""
    cache = Cache()
    cache.put(job(1))
    assert cache.put(job(2)) == set()
    assert (found := cache.get(FineTuneJob, "a", "tune"))
    assert found.meta.resource_version == 2
    assert TUNE in cache.put(job(3, status={"phase": "Training"}))


def test_a_stale_state_is_dropped() -> None:
    """A watch that lags behind the answer of our own write does not take it back."""
    cache = Cache()
    cache.put(job(5, status={"phase": "Training"}))
    assert cache.put(job(4)) == set()
    assert (found := cache.get(FineTuneJob, "a", "tune"))
    assert found.status.phase == "Training"


def test_a_late_answer_does_not_bring_back_what_was_deleted() -> None:
    """The answer of a write may be processed after the event of the deletion."""
    cache = Cache()
    cache.put(job(1))
    cache.remove(TUNE, "uid-tune", 3)
    assert cache.put(job(2)) == set()
    assert cache.get(FineTuneJob, "a", "tune") is None


def test_the_deletion_of_a_namesake_does_not_take_the_new_object() -> None:
    """A recreated object has another uid and a newer version."""
    cache = Cache()
    cache.put(job(7, uid="second"))
    assert cache.remove(TUNE, "uid-tune", 6) == set()
    assert cache.get(FineTuneJob, "a", "tune") is not None


def test_a_full_list_drops_what_is_not_in_it() -> None:
    """But neither what is newer than the list, nor what lies outside its namespace, nor another kind."""
    cache = Cache()
    kept = [
        parse(PODS, raw.pod("listed", 3)),
        parse(PODS, raw.pod("fresh", 12)),
        replace(parse(PODS, raw.pod("other", 3)), meta=replace(parse(PODS, raw.pod("other", 3)).meta, namespace="b")),
        parse(FINETUNE_JOBS, raw.job("tune", 3)),
    ]
    for record in (*kept, parse(PODS, raw.pod("gone", 3, labels={"finetune.dev/job": "tune"}))):
        cache.put(record)
    assert cache.prune("Pod", "a", {Key("Pod", "a", "listed")}, 10) == {TUNE}
    assert all(cache.meta(key_of(record)) for record in kept)
    assert cache.meta(Key("Pod", "a", "gone")) is None


EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.booleans()), max_size=25)


@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(steps: list[tuple[int, int, bool]], random: object) -> None:
    """A history of one name, delivered in any order and twice, ends in its last state, and the indices agree with it."""
    history: list[tuple[Record, bool]] = []
    for version, (incarnation, owner, deleted) in enumerate(_consistent(steps), 1):
        labels = {"finetune.dev/job": f"job-{owner}"}
        history.append((parse(PODS, raw.pod("p", version, labels=labels, uid=f"uid-{incarnation}")), deleted))
    delivered = history * 2
    random.shuffle(delivered)  # type: ignore[attr-defined]
    cache = Cache()
    for record, deleted in delivered:
        if deleted:
            cache.remove(key_of(record), record.meta.uid, record.meta.resource_version)
        else:
            cache.put(record)
    last = history[-1] if history else None
    expected = [last[0]] if last and not last[1] else []
    owners = [Key("FineTuneJob", "a", f"job-{number}") for number in range(1, 5)]
    assert [pod for owner in owners for pod in cache.children(owner, Pod)] == expected


def _consistent(steps: list[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    """Makes a history that can happen: a new incarnation only after the deletion of the last."""
    history, incarnation = [], 0
    for _, owner, deleted in steps:
        history.append((incarnation, owner, deleted))
        incarnation += deleted
    return history
