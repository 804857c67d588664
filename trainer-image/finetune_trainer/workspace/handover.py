"""What one stage leaves in the workspace for the next, and whether it is still intact.

Damage is not the fault of the spec: the operator runs the stage that wrote the files again.
"""

from pathlib import Path

from pydantic import ValidationError

from finetune_api import CONTRACT_VERSION
from finetune_api.exit_codes import ExitCode
from finetune_api.result import Stage
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.workspace.checksums import damage
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.sealed import damage_of, seal_of
from finetune_trainer.workspace.workspace import Workspace


def damaged(what: str, stage: Stage) -> StageFailure:
    """The failure for files of `stage` that are missing or damaged."""
    return StageFailure(ExitCode.WORKSPACE_DAMAGED, "WorkspaceDamaged", f"{what}: the {stage} stage has to run again")


def read_prepared(config: RunConfig, workspace: Workspace) -> Prepared:
    """prepare's decisions for this job, after verifying every file that they list. Raises StageFailure."""
    try:
        prepared = Prepared.from_json(workspace.prepared.read_bytes())
    except OSError as exc:
        raise damaged(f"cannot read {workspace.prepared} ({exc.strerror})", "prepare") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise damaged(f"{workspace.prepared}: {where}: {first['msg']}", "prepare") from exc
    check_ours(config, workspace, prepared)
    if not Path(prepared.base_path, "config.json").exists():
        raise base_missing(workspace, prepared)
    try:
        what = damage(workspace.root, prepared.files)
    except OSError as exc:
        what = f"{exc.filename} cannot be read ({exc.strerror})"
    if what:
        raise damaged(what, "prepare")
    return prepared


def check_ours(config: RunConfig, workspace: Workspace, prepared: Prepared) -> None:
    """Refuses files prepared for another job or by another version."""
    if prepared.contract_version != CONTRACT_VERSION:
        raise invalid(
            "WorkspaceInvalid",
            f"{workspace.prepared} is of contract version {prepared.contract_version}, this image supports {CONTRACT_VERSION}: "
            "run all stages of a job with the same image",
        )
    if prepared.spec_digest != config.job.spec_digest:
        raise invalid(
            "WorkspaceOfAnotherJob",
            f"the workspace {workspace.root} was prepared for the spec {prepared.spec_digest[:12]}, job {config.job.name} has "
            f"{config.job.spec_digest[:12]}: use a separate workspace for every job",
            param="workspace",
        )


def base_missing(workspace: Workspace, prepared: Prepared) -> StageFailure:
    """A base in the workspace can be downloaded again; one on a claim belongs to the user."""
    what = f"{prepared.base_path} no longer contains the base model (config.json)"
    if Path(prepared.base_path) == workspace.base:
        return damaged(what, "prepare")
    return invalid("BaseModelNotFound", f"{what}: put it back, or start a new job from another base", param="base.source")


def prepared_damage(config: RunConfig, workspace: Workspace) -> str:
    """Why prepare must run again although it has succeeded; empty if it need not."""
    try:
        read_prepared(config, workspace)
    except StageFailure as failure:
        return failure.error.message
    return ""


def trained_damage(config: RunConfig, workspace: Workspace) -> str:
    """Why train must run again although it has succeeded; empty if it need not."""
    mark = seal_of(workspace.trained)
    try:
        owner = Prepared.from_json(workspace.prepared.read_bytes()).identity
    except (OSError, ValidationError):  # publish reports it, and prepare runs again
        owner = mark.owner if mark else ""
    try:
        return damage_of(workspace.trained, owner)
    except OSError as exc:
        return f"{exc.filename} cannot be read ({exc.strerror})"
