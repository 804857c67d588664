"""What the earlier stages left for publish: checked before anything heavy is loaded."""

from dataclasses import dataclass
from pathlib import Path

from finetune_api.run_config import RunConfig
from finetune_trainer.handover import damaged, read_prepared, trained_damage
from finetune_trainer.methods import method_of
from finetune_trainer.prepared import Prepared
from finetune_trainer.tasks import find_task
from finetune_trainer.workspace import Workspace


@dataclass(frozen=True)
class Inputs:
    """Complete results of prepare and train."""

    config: RunConfig
    workspace: Workspace
    prepared: Prepared
    trained: Path
    """Folder of the trained weights: a PEFT adapter or a whole model."""

    @property
    def base(self) -> Path:
        """Folder of the base model."""
        return Path(self.prepared.base_path)


def read_inputs(config: RunConfig) -> Inputs:
    """Raises StageFailure naming the stage that has to run first."""
    workspace = Workspace(config.paths.workspace)
    prepared = read_prepared(config, workspace)
    if what := trained_damage(config, workspace):
        raise damaged(what, "train")
    trained = workspace.trained / method_of(config).folder
    if not trained.is_dir():
        raise damaged(f"{trained} is missing", "train")
    prompts = [workspace.prompts] if find_task(config.task).learner == "language" else []
    for path in (workspace.validation_rows, workspace.requests, *prompts):
        if not path.exists():
            raise damaged(f"{path} is missing", "prepare")
    return Inputs(config, workspace, prepared, trained)
