"""A run whose training has ended: what the earlier stages left for publish, checked before anything heavy is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_api.run_config import RunConfig
from finetune_trainer.methods import method_of
from finetune_trainer.tasks import find_task
from finetune_trainer.workspace.handover import damaged, read_prepared, trained_damage
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace


@dataclass(frozen=True)
class TrainedRun:
    """Complete results of prepare and train."""

    config: RunConfig
    workspace: Workspace
    prepared: Prepared
    weights: Path
    """Folder of the trained weights: a PEFT adapter or a whole model."""

    @property
    def base(self) -> Path:
        """Folder of the base model."""
        return Path(self.prepared.base_path)


class TunedModel:
    """The tuned model in memory, until the artifact that writes it takes it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def take(self) -> Any:
        """The model, once: its memory is free when the caller has let it go."""
        model, self._model = self._model, None
        assert model is not None, "another artifact took it"
        return model


def read_trained_run(config: RunConfig) -> TrainedRun:
    """Raises StageFailure naming the stage that has to run first."""
    workspace = Workspace(config.paths.workspace)
    prepared = read_prepared(config, workspace)
    if what := trained_damage(config, workspace):
        raise damaged(what, "train")
    weights = workspace.trained / method_of(config).folder
    if not weights.is_dir():
        raise damaged(f"{weights} is missing", "train")
    prompts = [workspace.prompts] if find_task(config.task).learner == "language" else []
    for path in (workspace.validation_rows, workspace.requests, *prompts):
        if not path.exists():
            raise damaged(f"{path} is missing", "prepare")
    return TrainedRun(config, workspace, prepared, weights)
