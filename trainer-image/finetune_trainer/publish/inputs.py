"""What the earlier stages left for publish: checked before anything heavy is loaded."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from finetune_api import CONTRACT_VERSION
from finetune_api.run_config import RunConfig
from finetune_trainer.classification.labelling import is_classifier
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.files import is_complete
from finetune_trainer.prepared import Prepared
from finetune_trainer.workspace import Workspace


@dataclass(frozen=True)
class Inputs:
    """Complete results of prepare and train."""

    config: RunConfig
    workspace: Workspace
    prepared: Prepared
    trained: Path
    """Folder of the PEFT adapter (method.type lora) or of the whole model (full)."""

    @property
    def base(self) -> Path:
        """Folder of the base model."""
        return Path(self.prepared.base_path)


def read_inputs(config: RunConfig) -> Inputs:
    """Raises StageFailure naming the stage that has to run first."""
    workspace = Workspace(config.paths.workspace)
    prepared = read_prepared(workspace, config)
    trained = workspace.trained / ("adapter" if config.method.type == "lora" else "model")
    if not is_complete(workspace.trained) or not trained.is_dir():
        raise missing(f"the workspace {workspace.root} holds no finished training ({trained} with {workspace.trained}/.complete)", "train")
    prompts = [] if is_classifier(config.task) else [workspace.prompts]
    for path in (workspace.validation_rows, *prompts):
        if not path.exists():
            raise missing(f"{path} is missing", "prepare")
    if not Path(prepared.base_path, "config.json").exists():
        raise missing(f"the base model is no longer at {prepared.base_path}", "prepare")
    return Inputs(config, workspace, prepared, trained)


def read_prepared(workspace: Workspace, config: RunConfig) -> Prepared:
    """prepare's decisions, if they were made for this job."""
    try:
        prepared = Prepared.from_json(workspace.prepared.read_bytes())
    except OSError as exc:
        raise missing(f"cannot read {workspace.prepared} ({exc.strerror})", "prepare") from exc
    except ValidationError as exc:
        raise invalid("WorkspaceInvalid", f"{workspace.prepared} is not what this version writes: {exc.errors()[0]['msg']}") from exc
    if prepared.contract_version != CONTRACT_VERSION:
        raise invalid(
            "WorkspaceInvalid",
            f"{workspace.prepared} is of contract version {prepared.contract_version}, this image speaks {CONTRACT_VERSION}: "
            "run all stages of a job with the same image",
        )
    if prepared.spec_digest != config.job.spec_digest:
        raise invalid(
            "WorkspaceOfAnotherJob",
            f"the workspace {workspace.root} was prepared for the spec {prepared.spec_digest[:12]}, job {config.job.name} has "
            f"{config.job.spec_digest[:12]}: give every job a workspace of its own",
            param="workspace",
        )
    return prepared


def missing(what: str, stage: str) -> StageFailure:
    """An earlier stage has not run, or its files have gone."""
    return invalid("StageMissing", f"{what}: run the {stage} stage first")
