"""The prepare stage: checks the data and the base model, decides what was left open, writes token ids. Cheap checks come first."""

import shutil
from datetime import datetime

from finetune_api.result import Estimate, PrepareSummary, StageResult
from finetune_api.run_config import RunConfig
from finetune_trainer.data.tokens.encode import ChatEncoder
from finetune_trainer.data.tokens.template import ChatTemplate, TemplateRefusal
from finetune_trainer.files import free_bytes, write_atomic
from finetune_trainer.prepare.base import Base, open_base
from finetune_trainer.prepare.base_config import BaseConfig
from finetune_trainer.prepare.base_files import total_bytes, unsupported
from finetune_trainer.prepare.dataset import open_dataset
from finetune_trainer.prepare.estimate import Sizes, check_space, estimate
from finetune_trainer.prepare.examples import Examples, ExamplesWriter
from finetune_trainer.prepare.hyperparameters import Facts, resolve
from finetune_trainer.prepared import Prepared
from finetune_trainer.progress import ProgressPrinter
from finetune_trainer.workspace import Workspace


def prepare(config: RunConfig, attempt: int) -> StageResult:
    """Runs the stage; raises StageFailure in the user's words."""
    workspace, progress = Workspace(config.paths.workspace), ProgressPrinter("prepare")
    workspace.root.mkdir(parents=True, exist_ok=True)
    base = open_base(config, workspace, progress)
    encoder = chat_encoder(config, base)
    dataset = open_dataset(config, workspace, progress)
    examples = ExamplesWriter(dataset, encoder, base, workspace, progress).write(config)
    shutil.rmtree(workspace.downloads, ignore_errors=True)
    needs = space(config, base, examples, workspace)
    prepared = decide(config, base, encoder, examples, needs)
    write_atomic(workspace.prepared, prepared.to_json(indent=2))
    progress.show("prepared", force=True)
    return StageResult(stage="prepare", spec_digest=config.job.spec_digest, attempt=attempt, prepare=prepared.summary)


def decide(config: RunConfig, base: Base, encoder: ChatEncoder, examples: Examples, needs: Estimate) -> Prepared:
    """Brings the base model's weights and decides what the spec leaves open."""
    base_path = base.download.weights()
    facts = Facts(examples.summary.train_examples, examples.max_sequence_length, base.weights.parameters)
    decided = resolve(config, facts)
    hyperparameters = decided.values
    summary = PrepareSummary(
        dataset=examples.summary,
        hyperparameters=decided.reasons,
        total_steps=hyperparameters.total_steps,
        estimate=needs,
        base_digest=base.download.digest(),
        base_parameters=base.weights.parameters,
    )
    return Prepared(
        spec_digest=config.job.spec_digest,
        base_path=str(base_path),
        hyperparameters=hyperparameters,
        lora=decided.lora,
        eos_token_ids=eos_token_ids(base.config, encoder),
        summary=summary,
    )


def chat_encoder(config: RunConfig, base: Base) -> ChatEncoder:
    """The base's tokenizer and chat template; strftime_now tells one moment for the whole run."""
    try:
        template = ChatTemplate(base.config.chat_template, base.config.special_tokens, datetime.now())
    except TemplateRefusal as exc:
        raise unsupported(base.subject, f"has a chat template that is not valid Jinja: {exc}") from exc
    return ChatEncoder(base.config.tokenizer, template, config.method.loss_on)


def space(config: RunConfig, base: Base, examples: Examples, workspace: Workspace) -> Estimate:
    """The later stages' needs; raises StageFailure when the workspace cannot hold what it still has to."""
    downloaded = total_bytes(base.files.all) if base.download.folder.local is None else 0
    sizes = Sizes(base.weights.parameters, base.trained, total_bytes(base.files.small), downloaded, examples.bytes)
    needs = estimate(config, sizes)
    present = examples.bytes + downloaded - base.download.missing_bytes
    check_space(needs.workspace_bytes - present, free_bytes(workspace.root), "the base model and the checkpoints need")
    return needs


def eos_token_ids(base: BaseConfig, encoder: ChatEncoder) -> list[int]:
    """The model's own list, and the token that its chat template ends an answer with."""
    end = encoder.end_of_turn()
    return list(dict.fromkeys([*base.eos_token_ids, *([] if end is None else [end])]))
