"""What every pod and child has, for the tests of the builders."""

from typing import Any

from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_api.resources.finetune_job_status import StageName
from finetune_api.resources.finetuned_model import ClaimSource
from finetune_api.run_config import RunConfig
from finetune_operator.build.run_config import run_config
from finetune_operator.build.stage_job import StageRun, stage_job_object
from tests.unit.operator.samples import JOB_UID, SETTINGS, meta, spec

META = meta("tune", JOB_UID)


OWNER = {
    "apiVersion": "finetune.dev/v1alpha1", "kind": "FineTuneJob", "name": "tune", "uid": JOB_UID, "controller": True,
    "blockOwnerDeletion": True,
}  # fmt: skip


MANAGED = {"app.kubernetes.io/managed-by": "finetune-operator"}


POD_SECURITY = {
    "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


SCRATCH_ENV = [
    {"name": "HOME", "value": "/home/finetune"},
    {"name": "TMPDIR", "value": "/tmp"},
    {"name": "XDG_CACHE_HOME", "value": "/home/finetune/.cache"},
    {"name": "HF_HOME", "value": "/home/finetune/.cache/huggingface"},
    {"name": "TORCH_HOME", "value": "/home/finetune/.cache/torch"},
    {"name": "TORCHINDUCTOR_CACHE_DIR", "value": "/home/finetune/.cache/torchinductor"},
    {"name": "TRITON_CACHE_DIR", "value": "/home/finetune/.cache/triton"},
    {"name": "MPLCONFIGDIR", "value": "/home/finetune/.cache/matplotlib"},
    {"name": "PYTHONUNBUFFERED", "value": "1"},
]


SCRATCH_VOLUMES = [
    {"name": "tmp", "emptyDir": {}},
    {"name": "home", "emptyDir": {}},
    {"name": "shm", "emptyDir": {"medium": "Memory"}},
]


SCRATCH_MOUNTS = [
    {"name": "tmp", "mountPath": "/tmp"},
    {"name": "home", "mountPath": "/home/finetune"},
    {"name": "shm", "mountPath": "/dev/shm"},
]


def stage(name: StageName, wanted: FineTuneJobSpec | None = None, base: ClaimSource | None = None) -> dict[str, Any]:
    return stage_job_object(StageRun(META, wanted or spec(), name, 2, "image:1", base, "tune-model"), SETTINGS)


def pod(name: StageName, wanted: FineTuneJobSpec | None = None, base: ClaimSource | None = None) -> dict[str, Any]:
    found: dict[str, Any] = stage(name, wanted, base)["spec"]["template"]["spec"]
    return found


def container(name: StageName, wanted: FineTuneJobSpec | None = None) -> dict[str, Any]:
    found: dict[str, Any] = pod(name, wanted)["containers"][0]
    return found


def config(wanted: FineTuneJobSpec, base: ClaimSource | None = None) -> RunConfig:
    return run_config(META, wanted, "image:1", base, SETTINGS)
