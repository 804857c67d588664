"""The prepare stage: checks the data and the base model, decides what was left open, writes token ids. Cheap checks come first."""

import shutil
from dataclasses import dataclass
from datetime import datetime

from finetune_api.result import Estimate, PrepareSummary, StageResult
from finetune_api.run_config import RunConfig
from finetune_api.resources.finetune_job import Lora
from finetune_trainer.data.encode import ChatEncoder
from finetune_trainer.data.template import ChatTemplate, TemplateRefusal
from finetune_trainer.files import write_atomic
from finetune_trainer.prepare.base_config import BaseConfig, read_base_config
from finetune_trainer.prepare.base_files import BaseFiles, choose_files, unsupported
from finetune_trainer.prepare.dataset import open_dataset
from finetune_trainer.prepare.download import BaseDownload
from finetune_trainer.prepare.estimate import check_space, estimate
from finetune_trainer.prepare.examples import Examples, ExamplesWriter
from finetune_trainer.prepare.hyperparameters import Facts, resolve
from finetune_trainer.prepare.weights import Weights, read_weights
from finetune_trainer.prepared import Prepared
from finetune_trainer.progress import ProgressPrinter
from finetune_trainer.sources.open import open_folder
from finetune_trainer.sources.subject import Subject
from finetune_trainer.stage import free_bytes
from finetune_trainer.workspace import Workspace


@dataclass(frozen=True)
class Base:
    """The base model, looked at but with its weights perhaps still elsewhere."""

    subject: Subject
    files: BaseFiles
    download: BaseDownload
    config: BaseConfig
    weights: Weights
    trained: int
    """Parameters that training changes."""


def prepare(config: RunConfig, attempt: int) -> StageResult:
    """Runs the stage; raises StageFailure in the user's words."""
    workspace, progress = Workspace(config.paths.workspace), ProgressPrinter("prepare")
    workspace.root.mkdir(parents=True, exist_ok=True)
    base = open_base(config, workspace, progress)
    encoder = chat_encoder(config, base)
    dataset = open_dataset(config, workspace, progress)
    examples = ExamplesWriter(dataset, encoder, base.config, base.subject, workspace, progress).write(config)
    shutil.rmtree(workspace.downloads, ignore_errors=True)
    needs = space(config, base, examples, workspace)
    base_path = base.download.weights()
    facts = Facts(examples.summary.train_examples, examples.max_sequence_length, base.weights.parameters)
    hyperparameters, reasons = resolve(config, facts)
    summary = PrepareSummary(
        dataset=examples.summary,
        hyperparameters=reasons,
        total_steps=hyperparameters.total_steps,
        estimate=needs,
        base_digest=base.download.digest(),
        base_parameters=base.weights.parameters,
    )
    prepared = Prepared(
        spec_digest=config.job.spec_digest,
        base_path=str(base_path),
        hyperparameters=hyperparameters,
        eos_token_ids=eos_token_ids(base.config, encoder),
        summary=summary,
    )
    write_atomic(workspace.prepared, prepared.to_json(indent=2))
    progress.show("prepared", force=True)
    return StageResult(stage="prepare", spec_digest=config.job.spec_digest, attempt=attempt, prepare=summary)


def open_base(config: RunConfig, workspace: Workspace, progress: ProgressPrinter) -> Base:
    """Everything about the base model that its small files and its weights' headers say."""
    tuned = config.base.fine_tuned_model
    subject = Subject(config.base.source.name, "base.fineTunedModel" if tuned else "base.source", "BaseModelNotFound")
    progress.show(f"checking the base model {subject.name}", force=True)
    folder = open_folder(config.base.source, subject, below="model" if tuned else "")
    files = choose_files(folder, subject)
    weights = read_weights(folder, files.weights, subject)
    trained = weights.adapter_parameters(config.method.lora or Lora()) if config.method.type == "lora" else weights.parameters
    download = BaseDownload(folder, files, workspace.base, progress)
    base_config = read_base_config(download.small_files(), subject, for_onnx=config.export.onnx is not None)
    return Base(subject, files, download, base_config, weights, trained)


def chat_encoder(config: RunConfig, base: Base) -> ChatEncoder:
    """The base's tokenizer and chat template; strftime_now tells one moment for the whole run."""
    try:
        template = ChatTemplate(base.config.chat_template, base.config.special_tokens, datetime.now())
    except TemplateRefusal as exc:
        raise unsupported(base.subject, f"has a chat template that is not valid Jinja: {exc}") from exc
    return ChatEncoder(base.config.tokenizer, template, config.method.loss_on)


def space(config: RunConfig, base: Base, examples: Examples, workspace: Workspace) -> Estimate:
    """The later stages' needs; raises StageFailure when the workspace cannot hold what it still has to."""
    downloaded = base.files.weight_bytes if base.download.folder.local is None else 0
    needs = estimate(config, base.weights.parameters, base.trained, examples.bytes, downloaded)
    present = examples.bytes + downloaded - base.download.missing_bytes
    check_space(needs.workspace_bytes - present, free_bytes(workspace.root), "the base model and the checkpoints need")
    return needs


def eos_token_ids(base: BaseConfig, encoder: ChatEncoder) -> list[int]:
    """The model's own list, and the token that its chat template ends an answer with."""
    end = encoder.end_of_turn()
    return list(dict.fromkeys([*base.eos_token_ids, *([] if end is None else [end])]))
