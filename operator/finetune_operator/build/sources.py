"""Datasets, base model, trackers and the store for checkpoints in a stage pod: mounts, credentials, and the paths in the run config."""

from typing import Any

from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.resources.source import parse_address, shown_address
from finetune_api.resources.tracking import TRACKER_ENV_PREFIX
from finetune_api.run_config import RunSource, Source, spec_sources
from finetune_operator.build.pod import Mount


def run_source(source: Source) -> RunSource:
    """The source in the run config: a path for a claim or a ConfigMap, the address for all others."""
    address = parse_address(source.address)
    if address.scheme in ("pvc", "configmap"):
        return RunSource(uri=f"{folder(source)}/{address.path}".rstrip("/"), shown_as=source.address)
    return RunSource(uri=source.address, shown_as=shown_address(source.address), env_prefix=env_prefix(source))


def claim_run_source(claim: ClaimSource, shown_as: str) -> RunSource:
    """The directory of a base FineTunedModel."""
    return RunSource(uri=f"/sources/base/{claim.path.strip('/')}".rstrip("/"), shown_as=shown_as)


def source_mounts(spec: FineTuneJobSpec, base: ClaimSource | None, *, rows: bool) -> tuple[Mount, ...]:
    """`rows`: the datasets as well as the base model, which every stage uses in place when it is on a claim."""
    mounts = [mount for source in spec_sources(spec) if rows or source.role == "base" for mount in _mount(source)]
    if base is not None:
        mounts.append(Mount("source-base", "/sources/base", claim=base.name))
    return tuple(mounts)


def _mount(source: Source) -> tuple[Mount, ...]:
    address = parse_address(source.address)
    match address.scheme:
        case "pvc":
            return (Mount(f"source-{source.role}", folder(source), claim=address.host),)
        case "configmap":
            return (Mount(f"source-{source.role}", folder(source), config_map=address.host, key=address.path),)
        case _:
            return ()


def source_env_from(spec: FineTuneJobSpec) -> tuple[dict[str, Any], ...]:
    """Credentials as environment variables: a missing Secret keeps the container from starting, and the kubelet names it."""
    return tuple(
        {"prefix": env_prefix(source), "secretRef": {"name": source.credentials.secret_ref.name}}
        for source in spec_sources(spec)
        if source.credentials
    )


def field_naming(spec: FineTuneJobSpec, object: str) -> str | None:
    """The field that names a Secret, a ConfigMap or a claim: "Secret s3" -> dataset.train.credentials.secretRef.name."""
    for source in spec_sources(spec):
        if source.credentials and object == f"Secret {source.credentials.secret_ref.name}":
            return f"{source.field.removesuffix('source')}credentials.secretRef.name"
        if object and object == _mounted(source):
            return source.field
    for tracker, secret in spec.tracking.secrets():
        if object == f"Secret {secret}":
            return f"tracking.{tracker}.credentials.secretRef.name"
    store = spec.checkpoints.store
    if store and store.credentials and object == f"Secret {store.credentials.secret_ref.name}":
        return "checkpoints.store.credentials.secretRef.name"
    claim = spec.workspace.claim_name
    return "workspace.claimName" if claim and object == f"PersistentVolumeClaim {claim}" else None


def mounted_config_map(spec: FineTuneJobSpec, message: str) -> str:
    """The ConfigMap of the volume that a message of the kubelet quotes; "" for a volume of another kind."""
    return next((_mounted(source) for source in spec_sources(spec) if f'"source-{source.role}"' in message), "")


def _mounted(source: Source) -> str:
    """The object that is mounted for a source; "" for one that is downloaded."""
    address = parse_address(source.address)
    kind = {"pvc": "PersistentVolumeClaim", "configmap": "ConfigMap"}.get(address.scheme)
    return f"{kind} {address.host}" if kind else ""


def tracker_env_from(spec: FineTuneJobSpec, *, optional: bool) -> tuple[dict[str, Any], ...]:
    """Credentials of the trackers, in the same way; `optional`: the container starts without a Secret that is missing."""
    missing = {"optional": True} if optional else {}
    return tuple(
        {"prefix": TRACKER_ENV_PREFIX[tracker], "secretRef": {"name": secret} | missing} for tracker, secret in spec.tracking.secrets()
    )


def checkpoint_env_from(spec: FineTuneJobSpec, *, optional: bool) -> tuple[dict[str, Any], ...]:
    """Credentials of the store for copies of checkpoints, in the same way."""
    store = spec.checkpoints.store
    if store is None or store.credentials is None:
        return ()
    missing = {"optional": True} if optional else {}
    return ({"prefix": store.env_prefix, "secretRef": {"name": store.credentials.secret_ref.name} | missing},)


def folder(source: Source) -> str:
    """Mount path of its claim or ConfigMap."""
    return f"/sources/{source.role}"


def env_prefix(source: Source) -> str:
    """Prefix of the variables with its credentials; empty without credentials."""
    return f"FINETUNE_{source.role.upper()}_" if source.credentials else ""
