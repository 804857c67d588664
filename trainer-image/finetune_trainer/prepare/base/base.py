"""The base model as prepare sees it: looked at, its weights perhaps still elsewhere."""

from dataclasses import dataclass, replace

from finetune_api.run_config import RunConfig
from finetune_trainer.methods import method_of
from finetune_trainer.prepare.base.architectures import check_checkpointing
from finetune_trainer.prepare.base.config import BaseConfig, read_base_config
from finetune_trainer.prepare.base.download import BaseDownload
from finetune_trainer.prepare.base.files import BaseFiles, choose_files
from finetune_trainer.prepare.base.pooling import pooling_of
from finetune_trainer.prepare.base.weights import TRANSPOSED, Weights, read_weights
from finetune_trainer.sources.open import open_folder
from finetune_trainer.sources.subject import Subject
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.tasks import find_task
from finetune_trainer.workspace.prepared import Pooling
from finetune_trainer.workspace.workspace import Workspace


@dataclass(frozen=True)
class ExaminedBase:
    """What its small files and its weights' headers say."""

    subject: Subject
    files: BaseFiles
    download: BaseDownload
    config: BaseConfig
    weights: Weights
    pooling: Pooling | None = None
    """Of an embedding model."""


def open_base(config: RunConfig, workspace: Workspace, progress: ProgressPrinter) -> ExaminedBase:
    """Everything about the base model that its small files and its weights' headers say."""
    tuned = config.base.fine_tuned_model
    subject = Subject(config.base.source.name, "base.fineTunedModel" if tuned else "base.source", "BaseModelNotFound")
    progress.show(f"checking the base model {subject.name}", force=True)
    folder = open_folder(config.base.source, subject, below="model" if tuned else "", network=config.network)
    files = choose_files(folder, subject)
    weights = read_weights(folder, files.weights, subject)
    method_of(config).adapted(weights.linear_layers, config.method)  # refuses a target module that the model does not have
    download = BaseDownload(folder, files, workspace.base, progress, subject.name)
    base_config = read_base_config(download.small_files(), subject, config)
    check_checkpointing(base_config.values, subject, wanted=config.hyperparameters.gradient_checkpointing is True)
    weights = replace(weights, transposed=base_config.values.get("model_type") in TRANSPOSED)
    pooling = pooling_of(folder, files.small, subject) if find_task(config.task).learner == "embedding" else None
    return ExaminedBase(subject, files, download, base_config, weights, pooling)
