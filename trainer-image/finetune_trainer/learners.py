"""The learner of each task and objective."""

from finetune_api.run_config import RunConfig
from finetune_trainer.classification.labelling import labelling_of
from finetune_trainer.classification.learner import ClassifierLearner
from finetune_trainer.custom_loss import CustomLoss
from finetune_trainer.embedding.learner import EmbeddingLearner
from finetune_trainer.language_model.learner import LanguageLearner
from finetune_trainer.learner import Learner
from finetune_trainer.objectives import objective_of
from finetune_trainer.preference.learner import PreferenceLearner
from finetune_trainer.preference.rated import RatedLearner
from finetune_trainer.tasks import find_task
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace


def learner_of(config: RunConfig, prepared: Prepared, workspace: Workspace, loss: CustomLoss | None = None) -> Learner:
    """The learner of the run's task. Rows are read when they are needed; `loss` is the user's own, for a training."""
    name = find_task(config.task).learner
    objective = objective_of(config)
    if objective.rates:
        return RatedLearner(config, prepared, workspace)
    if objective.compares:
        return PreferenceLearner(config, prepared, workspace)
    if name == "language":
        return LanguageLearner(config, prepared, workspace, loss)
    if name == "embedding":
        return EmbeddingLearner(config, prepared, workspace)
    return ClassifierLearner(config, prepared, workspace, labelling_of(name, prepared), loss)
