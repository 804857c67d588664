"""The last known state of our objects and their children, as slim records, and which of our objects a change concerns.

Takes records in any order and from any source (lists, watches, responses to our own writes); knows neither the client nor the queue.
The newest resourceVersion wins, and deleted objects stay deleted.
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
"""Pseudo kind in the index of mentions: the files of a model on a claim."""
FINISHED = frozenset({"Succeeded", "Failed", "Cancelled"})
"""Phases of a finished FineTuneJob."""


class Key(NamedTuple):
    """Identifies an object. Keys of our own kinds are reconciled."""

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
    """The key of a record."""
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
        """From a model or a claim to our objects that name it; from the files on a claim to the models that they belong to."""
        self._gone: OrderedDict[str, None] = OrderedDict()
        """uids of the last deleted objects: a late response must not bring them back."""

    def knows(self, key: Key, resource_version: int) -> bool:
        """True when this or a newer state of the object is in the cache: `put` would ignore it, so it need not be parsed."""
        record = self._records.get(key)
        return record is not None and resource_version <= record.meta.resource_version

    def put(self, record: Record) -> Keys:
        """Takes a state of an object. A stale state, or one that differs in nothing that a plan reads, wakes no key."""
        key = key_of(record)
        old = self._records.get(key)
        if record.meta.uid in self._gone or (old and record.meta.resource_version <= old.meta.resource_version):
            return set()
        wake = self._unlink(old) if old else set()
        self._records[key] = record
        wake |= self._link(record)
        if old is None:
            return wake
        return set() if _same(old, record) else {key} if _irrelevant_to_models(old, record) else wake

    def remove(self, key: Key, uid: str, resource_version: int = 0) -> Keys:
        """The object with that uid was deleted; `resource_version` is that of the deletion, if known."""
        self._bury(uid)
        old = self._records.get(key)
        if old is None or (old.meta.uid != uid and old.meta.resource_version >= resource_version):
            return set()
        del self._records[key]
        self._bury(old.meta.uid)
        return self._unlink(old)

    def prune(self, kind: str, namespace: str | None, listed: Keys, resource_version: int) -> Keys:
        """After a full list: removes objects that were not in it, except those newer than the list (our own latest writes)."""
        lost = [
            (key, record.meta.uid)
            for key, record in self._records.items()
            if key.kind == kind and namespace in (None, key.namespace)
            and key not in listed and record.meta.resource_version <= resource_version
        ]  # fmt: skip
        return {wake for key, uid in lost for wake in self.remove(key, uid)}

    def get(self, type_: type[R], namespace: str, name: str) -> R | None:
        """A record by type and name."""
        record = self._records.get(Key(_KINDS[type_], namespace, name))
        return record if isinstance(record, type_) else None

    def children(self, owner: Key, type_: type[R]) -> list[R]:
        """Records with the owner's name in the label of its kind, by name."""
        records = (self._records[key] for key in sorted(self._children.get(owner, ())))
        return [record for record in records if isinstance(record, type_)]

    def users(self, namespace: str, model: str, type_: type[R]) -> list[R]:
        """Our objects that name a model, by name."""
        keys = self._mentions.get(Key(FINETUNED_MODELS.kind, namespace, model), ())
        return [record for key in sorted(keys) if isinstance(record := self._records[key], type_)]

    def on_claim(self, namespace: str, claim: str, type_: type[R]) -> list[R]:
        """Our objects whose base is on a claim, by name."""
        keys = self._mentions.get(Key(CLAIMS.kind, namespace, claim), ())
        return [record for key in sorted(keys) if isinstance(record := self._records[key], type_)]

    def meta(self, key: Key) -> Meta | None:
        """Metadata of an object."""
        record = self._records.get(key)
        return record.meta if record else None

    def owners(self, key: Key) -> Keys:
        """Our objects whose child it is."""
        record = self._records.get(key)
        return _owners(record) if record else set()

    def all(self, type_: type[R]) -> Iterator[R]:
        """All records of a type."""
        return (record for record in self._records.values() if isinstance(record, type_))

    def keys(self, kind: str) -> Keys:
        """All keys of a kind."""
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
        """Our objects whose plan reads this record."""
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


def _irrelevant_to_models(old: Record, new: Record) -> bool:
    """A running job writes its status often, but plans of models only read its spec and whether it has finished."""
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
    """The models that one of our objects names: base, output, model to serve, and models that its pods still serve."""
    return {Key(FINETUNED_MODELS.kind, record.meta.namespace, name) for name in _model_names(record)}


def _claims(record: Record) -> Keys:
    """The claim with the base of a job or a model (pvc://CLAIM/...)."""
    if not isinstance(record, FineTunedModel | FineTuneJob) or record.spec is None:
        return set()
    scheme, _, rest = (record.spec.base.source or "").partition("://")
    return {Key(CLAIMS.kind, record.meta.namespace, rest.partition("/")[0])} if scheme == "pvc" else set()


def _files(record: Record) -> Keys:
    """The files of a model on their claim: objects with a base on that claim may start from them."""
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
    """The requested model name, and the fallback when that was taken."""
    return {output_name(job.meta.name, spec), *({job.status.model} if job.status.model else ())}
