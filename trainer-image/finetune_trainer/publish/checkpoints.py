"""The checkpoints that are published with the model: other steps of its training, each in a model directory of its own.

One that cannot be published costs the checkpoint, never the model: the manifest says which one is missing and why.
"""

import gc
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from finetune_api.model_directory import MANIFEST_FILE, MissingArtifact, PublishedCheckpoint
from finetune_api.progress import CheckpointFigures
from finetune_trainer.artifacts.exporter import Exporter, ExportJob
from finetune_trainer.distributed.device import release_memory
from finetune_trainer.distributed.world import World
from finetune_trainer.evaluation.measure import measure
from finetune_trainer.failure import invalid
from finetune_trainer.learner import Learner
from finetune_trainer.learners import learner_of
from finetune_trainer.methods import method_of
from finetune_trainer.publish.describe import describe, write_card
from finetune_trainer.publish.draft import Draft
from finetune_trainer.publish.exports import check_kills, explained, export_all
from finetune_trainer.publish.manifest import make_manifest
from finetune_trainer.publish.space import check_publish_space, storage_full_names
from finetune_trainer.stage import interruption
from finetune_trainer.stage.phases import Phases
from finetune_trainer.statistics.statistic import Measured
from finetune_trainer.strategies import strategy_of
from finetune_trainer.train.checkpoints import Checkpoint, complete_checkpoints
from finetune_trainer.trained import TrainedRun
from finetune_trainer.workspace.files import sha256_of, write_atomic
from finetune_trainer.workspace.sealed import damage_of

WEIGHTS = "weights"
"""What is counted when an attempt is killed before a checkpoint has its weights: the work that it cannot do without."""


def publish_checkpoints(
    run: TrainedRun,
    step: int,
    figures: Mapping[int, CheckpointFigures],
    learner: Learner,
    base: Measured,
    draft: Draft,
    artifacts: Collection[Exporter],
) -> tuple[list[PublishedCheckpoint], list[MissingArtifact]]:
    """Writes the model directories of all kept checkpoints into the draft of the model; what was written, and what could not be.

    `step` is that of the model itself, which has these `artifacts`; `figures` are those of the training by step, `base` what `learner` has
    measured of the base: objectives with a reference compare the checkpoints with that.
    """
    published, missing = list[PublishedCheckpoint](), list[MissingArtifact]()
    for checkpoint in kept_checkpoints(run, step):
        part = draft.of_checkpoint(checkpoint.step)
        try:
            with storage_full_names(draft.root):
                done, lacking = publish_checkpoint(run, checkpoint, learner, base, part, artifacts)
        except Exception as exc:
            interruption.check()  # a library may have made another exception of it
            part.clear()
            missing.append(missing_checkpoint(checkpoint, exc))
        else:
            trained = figures.get(checkpoint.step)
            published.append(done.model_copy(update={"loss": trained.loss if trained else None}))
            missing += lacking
        gc.collect()  # models hold reference cycles
        release_memory()
    return published, missing


def kept_checkpoints(run: TrainedRun, published_step: int) -> list[Checkpoint]:
    """Those in the workspace, the oldest first; of several attempts' at a step the newest, and none of the step that is published."""
    found = complete_checkpoints(run.workspace.checkpoints, run.prepared.identity)
    by_step = {checkpoint.step: checkpoint for checkpoint in reversed(found)}
    return [checkpoint for step, checkpoint in sorted(by_step.items()) if step != published_step]


def missing_checkpoint(checkpoint: Checkpoint, exc: Exception) -> MissingArtifact:
    """The manifest's entry for one that failed with `exc`."""
    error = explained(exc, f"checkpoint {checkpoint.step} is not published").error
    return MissingArtifact(format="safetensors", precision="", checkpoint=checkpoint.step, reason=error.code, message=error.message)


def publish_checkpoint(
    run: TrainedRun, checkpoint: Checkpoint, learner: Learner, base: Measured, part: Draft, artifacts: Collection[Exporter]
) -> tuple[PublishedCheckpoint, list[MissingArtifact]]:
    """Measures it, writes its artifacts and its manifest; also the artifacts that could not be made."""
    step, phases = checkpoint.step, Phases(f"checkpoint {checkpoint.step}")
    required = [artifact for artifact in artifacts if artifact.required]
    check_kills(WEIGHTS, part, "while they read, scored or wrote the weights of a checkpoint")
    check_publish_space(required, run, part.root, f"checkpoint {step} needs")
    with part.exporting(WEIGHTS):
        with phases.phase("reading the weights"):
            if why := damage_of(checkpoint.path, run.prepared.identity, phases.tick):
                raise invalid("CheckpointDamaged", f"{why}: the checkpoint is left out")
            run = replace(run, weights=whole_weights(run, checkpoint.path, part.scratch))
        report, _, tuned = measure(run, learner, phases, base)
        job = ExportJob(run, learner, tuned, part.files, part.scratch, phases)
        weights = export_all(job, part, required)
    exported = export_all(job, part, [artifact for artifact in artifacts if not artifact.required])
    with phases.phase("writing the manifest"):
        report = report.model_copy(update={"parity": weights.parity + exported.parity})
        description = describe(run, step, part.files, report, exported.missing)
        write_card(run, description, part.files)
        manifest = make_manifest(description, part.files)
        write_atomic(part.files / MANIFEST_FILE, manifest.to_json(indent=2))
    published = PublishedCheckpoint(
        step=step,
        validation_loss=report.tuned["loss"],
        gate_passed=report.gate_passed,
        lacking=[artifact.name for artifact in exported.missing] or None,
        size_bytes=manifest.size_bytes,
        manifest_sha256=sha256_of(part.files / MANIFEST_FILE),
    )
    return published, [artifact.model_copy(update={"checkpoint": step}) for artifact in exported.missing]


def whole_weights(run: TrainedRun, checkpoint: Path, scratch: Path) -> Path:
    """The folder with what the method saved at that step. Weights that ranks have written in parts are put together in `scratch`, on the
    CPU: a GPU that suffices to score the model may be too small for its training form."""
    strategy, method = strategy_of(run.prepared.strategy), method_of(run.config)
    if not strategy.divides:
        return checkpoint
    world = World(rank=0, size=1, device=torch.device("cpu"))
    distributed = strategy.open(world, method, run.prepared)
    try:
        model = distributed.load(learner_of(run.config, run.prepared, run.workspace).load_base, checkpoint)
        method.save(model, scratch / method.folder, distributed.full_weights())
    finally:
        distributed.close()
        world.leave()
    return scratch / method.folder
