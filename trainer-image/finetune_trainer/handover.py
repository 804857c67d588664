"""What one stage leaves in the workspace for the next, and whether it is still there as it was left.

What is damaged is no fault of the spec's: the stage that wrote it can write it again, and the operator starts it.
"""

from pathlib import Path

from pydantic import ValidationError

from finetune_api import CONTRACT_VERSION
from finetune_api.exit_codes import ExitCode
from finetune_api.result import Stage
from finetune_api.run_config import RunConfig
from finetune_trainer.checksums import damage
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.prepared import Prepared
from finetune_trainer.sealed import damage_of, seal_of
from finetune_trainer.workspace import Workspace


def damaged(what: str, stage: Stage) -> StageFailure:
    """What `stage` left is not there, or is not what it left."""
    return StageFailure(ExitCode.WORKSPACE_DAMAGED, "WorkspaceDamaged", f"{what}: the {stage} stage has to run again")


def read_prepared(config: RunConfig, workspace: Workspace) -> Prepared:
    """prepare's decisions for this job, with every file that they speak of as it was written; raises StageFailure."""
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
    """Refuses what was prepared for another job, or by another version."""
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
    """A base in the workspace can be fetched again; one on a claim is the user's."""
    what = f"{prepared.base_path} no longer contains the base model (config.json)"
    if Path(prepared.base_path) == workspace.base:
        return damaged(what, "prepare")
    return invalid("BaseModelNotFound", f"{what}: put it back, or start a new job from another base", param="base.source")


def prepared_damage(config: RunConfig, workspace: Workspace) -> str:
    """Why prepare has to run again although it has succeeded, empty when it has not."""
    try:
        read_prepared(config, workspace)
    except StageFailure as failure:
        return failure.error.message
    return ""


def trained_damage(config: RunConfig, workspace: Workspace) -> str:
    """Why train has to run again although it has succeeded, empty when it has not."""
    mark = seal_of(workspace.trained)
    try:
        owner = Prepared.from_json(workspace.prepared.read_bytes()).identity
    except (OSError, ValidationError):  # publish will say so, and prepare put it right
        owner = mark.owner if mark else ""
    try:
        return damage_of(workspace.trained, owner)
    except OSError as exc:
        return f"{exc.filename} cannot be read ({exc.strerror})"
