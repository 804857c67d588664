"""The last known state of our objects and their children, as slim records, and who must be looked at when one changes.

Pure: takes records in any order and from any source (lists, watches, answers of our own writes), knows no client and no queue.
The newest resourceVersion wins, and what was deleted stays deleted.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from finetune_api.resources.finetune_job import FineTuneJobSpec, output_name
from finetune_operator.objects.names import DEPLOYMENT_LABEL, JOB_LABEL, MODEL_LABEL
from finetune_operator.objects.parse import Record
from finetune_operator.objects.records import (
    BatchJob,
    Claim,
    CustomResource,
    FineTunedModel,
    FineTuneJob,
    Meta,
    ModelDeployment,
    Pod,
    Presence,
    Workload,
)
from finetune_operator.objects.resources import (
    CLAIMS,
    DEPLOYMENTS,
    FINETUNE_JOBS,
    FINETUNED_MODELS,
    JOBS,
    MODEL_DEPLOYMENTS,
    PODS,
    Resource,
)

R = TypeVar("R", bound=Record)

TOMBSTONES = 4096
FILES = "Files"
"""Kind of what models have on a claim, in the index of what is mentioned."""
FINISHED = frozenset({"Succeeded", "Failed", "Cancelled"})
"""Phases of a FineTuneJob that is over."""


class Key(NamedTuple):
    """One object; of our own kinds it is what gets reconciled."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


Keys = set[Key]

_KINDS: Mapping[type[object], str] = {
    FineTuneJob: FINETUNE_JOBS.kind,
    FineTunedModel: FINETUNED_MODELS.kind,
    ModelDeployment: MODEL_DEPLOYMENTS.kind,
    BatchJob: JOBS.kind,
    Pod: PODS.kind,
    Claim: CLAIMS.kind,
    Workload: DEPLOYMENTS.kind,
}
_OWNER_LABELS = ((JOB_LABEL, FINETUNE_JOBS.kind), (MODEL_LABEL, FINETUNED_MODELS.kind), (DEPLOYMENT_LABEL, MODEL_DEPLOYMENTS.kind))


def key_of(record: Record) -> Key:
    """Which object a record is of."""
    kind = record.kind if isinstance(record, Presence) else _KINDS[type(record)]
    return Key(kind, record.meta.namespace, record.meta.name)


def identity(resource: Resource, raw: Mapping[str, Any]) -> tuple[Key, str, int]:
    """Key, uid and resourceVersion of a raw object, without parsing the rest."""
    metadata = raw["metadata"]
    return Key(resource.kind, metadata.get("namespace", ""), metadata["name"]), metadata["uid"], int(metadata["resourceVersion"])


class Cache:
    """Every method that changes something returns the keys of our objects that must be reconciled because of it."""

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}
        self._children: defaultdict[Key, Keys] = defaultdict(set)
        self._mentions: defaultdict[Key, Keys] = defaultdict(set)
        """A model or a claim, and those of our objects that name it; and the files on a claim, and the models that they are."""
        self._gone: OrderedDict[str, None] = OrderedDict()
        """uids of the objects that were deleted last: an answer that comes late must not bring them back."""

    def knows(self, key: Key, resource_version: int) -> bool:
        """True when that state of an object, or a newer one, is here: `put` would drop it, so it need not be parsed."""
        record = self._records.get(key)
        return record is not None and resource_version <= record.meta.resource_version

    def put(self, record: Record) -> Keys:
        """Takes a state of an object; none wakes anybody that is stale or differs in nothing that a plan reads."""
        key = key_of(record)
        old = self._records.get(key)
        if record.meta.uid in self._gone or (old and record.meta.resource_version <= old.meta.resource_version):
            return set()
        wake = self._unlink(old) if old else set()
        self._records[key] = record
        wake |= self._link(record)
        if old is None:
            return wake
        return set() if _same(old, record) else {key} if _of_no_concern_to_models(old, record) else wake

    def remove(self, key: Key, uid: str, resource_version: int = 0) -> Keys:
        """The object of that uid was deleted; the version is that of its deletion, where known."""
        self._bury(uid)
        old = self._records.get(key)
        if old is None or (old.meta.uid != uid and old.meta.resource_version >= resource_version):
            return set()
        del self._records[key]
        self._bury(old.meta.uid)
        return self._unlink(old)

    def prune(self, kind: str, namespace: str | None, listed: Keys, resource_version: int) -> Keys:
        """After a full list: drops what was not in it, but nothing that is newer than the list (a fresh write of our own)."""
        lost = [
            (key, record.meta.uid)
            for key, record in self._records.items()
            if key.kind == kind and namespace in (None, key.namespace)
            and key not in listed and record.meta.resource_version <= resource_version
        ]  # fmt: skip
        return {wake for key, uid in lost for wake in self.remove(key, uid)}

    def get(self, type_: type[R], namespace: str, name: str) -> R | None:
        """A record by its name."""
        record = self._records.get(Key(_KINDS[type_], namespace, name))
        return record if isinstance(record, type_) else None

    def children(self, owner: Key, type_: type[R]) -> list[R]:
        """Those that carry the owner's name in the label of its kind, by name."""
        records = (self._records[key] for key in sorted(self._children.get(owner, ())))
        return [record for record in records if isinstance(record, type_)]

    def users(self, namespace: str, model: str, type_: type[R]) -> list[R]:
        """Those of our objects that name a model, by name."""
        keys = self._mentions.get(Key(FINETUNED_MODELS.kind, namespace, model), ())
        return [record for key in sorted(keys) if isinstance(record := self._records[key], type_)]

    def on_claim(self, namespace: str, claim: str, type_: type[R]) -> list[R]:
        """Those of our objects whose base lies on a claim, by name."""
        keys = self._mentions.get(Key(CLAIMS.kind, namespace, claim), ())
        return [record for key in sorted(keys) if isinstance(record := self._records[key], type_)]

    def meta(self, key: Key) -> Meta | None:
        """What every object has, by kind and name."""
        record = self._records.get(key)
        return record.meta if record else None

    def owners(self, key: Key) -> Keys:
        """Those of our objects whose child it is."""
        record = self._records.get(key)
        return _owners(record) if record else set()

    def all(self, type_: type[R]) -> Iterator[R]:
        """Every record of a type."""
        return (record for record in self._records.values() if isinstance(record, type_))

    def keys(self, kind: str) -> Keys:
        """Every object of a kind."""
        return {key for key in self._records if key.kind == kind}

    def _link(self, record: Record) -> Keys:
        key = key_of(record)
        for owner in _owners(record):
            self._children[owner].add(key)
        for thing in (*_mentioned(record), *_claims(record), *_files(record)):
            self._mentions[thing].add(key)
        return self._concerned(record)

    def _unlink(self, record: Record) -> Keys:
        concerned, key = self._concerned(record), key_of(record)
        for index, others in ((self._children, _owners(record)), (self._mentions, _mentioned(record) | _claims(record) | _files(record))):
            for other in others:
                index[other].discard(key)
                if not index[other]:
                    del index[other]
        return concerned

    def _concerned(self, record: Record) -> Keys:
        """Whose plan reads this record."""
        owners = _owners(record)
        if not isinstance(record, CustomResource):
            return owners
        key = key_of(record)
        models = {model for claim in _claims(record) for model in self._mentions.get(claim._replace(kind=FILES), ())}
        return {key} | _mentioned(record) | models | self._mentions.get(key, set())

    def _bury(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > TOMBSTONES:
            self._gone.popitem(last=False)


def _same(old: Record, new: Record) -> bool:
    version = new.meta.resource_version
    return replace(old, meta=replace(old.meta, resource_version=version)) == new


def _of_no_concern_to_models(old: Record, new: Record) -> bool:
    """A job at work writes its status often; the models that it names read of it what it wants, and whether it is over."""
    if not (isinstance(old, FineTuneJob) and isinstance(new, FineTuneJob)):
        return False
    same = replace(old.meta, resource_version=0, generation=0) == replace(new.meta, resource_version=0, generation=0)
    return same and (old.status.phase in FINISHED) == (new.status.phase in FINISHED) and old.spec == new.spec


def _owners(record: Record) -> Keys:
    if isinstance(record, CustomResource):
        return set()
    labels, namespace = record.meta.labels, record.meta.namespace
    return {Key(kind, namespace, labels[label]) for label, kind in _OWNER_LABELS if label in labels}


def _mentioned(record: Record) -> Keys:
    """The models that one of our objects names: as base, output or to serve, and what its pods still serve."""
    return {Key(FINETUNED_MODELS.kind, record.meta.namespace, name) for name in _model_names(record)}


def _claims(record: Record) -> Keys:
    """The claim on which a job's or a model's base lies (pvc://CLAIM/...)."""
    if not isinstance(record, FineTunedModel | FineTuneJob) or record.spec is None:
        return set()
    scheme, _, rest = (record.spec.base.source or "").partition("://")
    return {Key(CLAIMS.kind, record.meta.namespace, rest.partition("/")[0])} if scheme == "pvc" else set()


def _files(record: Record) -> Keys:
    """A model's files on their claim: whose base lies there may start from them."""
    if not isinstance(record, FineTunedModel) or record.spec is None:
        return set()
    return {Key(FILES, record.meta.namespace, record.spec.source.claim.name)}


def _model_names(record: Record) -> set[str]:
    if isinstance(record, ModelDeployment):
        return {s.model for s in record.status.serving} | ({record.spec.model.name} if record.spec else set())
    if isinstance(record, FineTunedModel | FineTuneJob) and record.spec:
        base = record.spec.base.fine_tuned_model
        names = {base.name} if base else set()
        return names | (_outputs(record, record.spec) if isinstance(record, FineTuneJob) else set())
    return set()


def _outputs(job: FineTuneJob, spec: FineTuneJobSpec) -> set[str]:
    """The model that was asked for, and the one that is made where that name was taken."""
    return {output_name(job.meta.name, spec), *({job.status.model} if job.status.model else ())}
