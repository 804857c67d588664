"""What one rank does: join the others, load, train, and finish."""

import contextlib
import importlib.metadata
import os
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import transformers
from torch import nn

from finetune_api.exit_codes import ExitCode
from finetune_api.progress import MicroBatches
from finetune_api.resources.learning import CheckpointStore
from finetune_api.result import StageWarning
from finetune_trainer import operations
from finetune_trainer.checkpoint_store import open_checkpoint_store
from finetune_trainer.custom_loss import load_custom_loss
from finetune_trainer.distributed.device import device_name, free_gpu_memory, release_memory
from finetune_trainer.distributed.world import World, join
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.learner import Learner
from finetune_trainer.learners import learner_of
from finetune_trainer.methods import method_of
from finetune_trainer.objectives import objective_of
from finetune_trainer.optimizers import optimizer_of
from finetune_trainer.stage.log_file import kept_log
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.step_plan import Layout, StepPlan
from finetune_trainer.strategies import DistributedModel, strategy_of
from finetune_trainer.tasks import find_task
from finetune_trainer.trackers import TRACKERS
from finetune_trainer.trackers.feed import Feeds
from finetune_trainer.trackers.tracker import tracked_run
from finetune_trainer.train.checkpoints import Checkpoint, complete_checkpoints
from finetune_trainer.train.copier import CheckpointCopier
from finetune_trainer.train.errors import explain_rank
from finetune_trainer.train.finish import Finish
from finetune_trainer.train.launch.exchange import Assignment, Exchange
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.loop.arguments import training_arguments
from finetune_trainer.train.loop.context import CheckpointPlace, LoopContext
from finetune_trainer.train.loop.curve import ValidationCurve, read_curve
from finetune_trainer.train.loop.fp16 import LossScale, compute_in_fp16
from finetune_trainer.train.loop.metrics import MetricsFile, read_metrics
from finetune_trainer.train.loop.run_log import RunLog
from finetune_trainer.train.loop.saving import CURVE
from finetune_trainer.train.loop.time_left import Course
from finetune_trainer.train.loop.trainer import StepTrainer
from finetune_trainer.train.loop.usage import Usage, work
from finetune_trainer.train.loop.validation import Validator
from finetune_trainer.train.micro_batch import halved, within_memory
from finetune_trainer.train.restore import Restore, restore_together, unfinished
from finetune_trainer.train.resume import Resume, choose_checkpoint
from finetune_trainer.train.row_places import RowPlaces, check_token_ids
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace


def run_rank(folder: str, asked_to_stop: Callable[[], bool]) -> int:
    """Runs this process's rank to its end; returns the exit code. A failure's words are left in the exchange folder."""
    exchange, number = Exchange(folder), int(os.environ.get("RANK", "0"))
    quieten()
    with contextlib.ExitStack() as stack:
        try:
            assignment = exchange.assignment()
            workspace = Workspace(assignment.config.paths.workspace)
            stack.enter_context(kept_log(workspace.log("train", assignment.attempt, f"rank-{number}")))
            Rank(assignment, Heartbeat(exchange.heartbeat(number)), asked_to_stop).run()
            return ExitCode.OK
        except BaseException as exc:
            failure = explain_rank(exc)
            if failure.exit_code in (ExitCode.INTERNAL_ERROR, ExitCode.PEER_LOST):
                traceback.print_exception(exc)
            exchange.write_failure(number, failure)
            return failure.exit_code


def versions() -> str:
    """Of the libraries that compute."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers", "peft", "accelerate")]
    return ", ".join([*found, *([f"CUDA {torch.version.cuda}"] if torch.version.cuda else [])])


def quieten() -> None:
    """Keeps the pod's log for what concerns its reader."""
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    warnings.simplefilter("ignore", FutureWarning)  # between libraries whose versions are pinned


class Rank:
    """One rank's way through an attempt."""

    def __init__(self, assignment: Assignment, heartbeat: Heartbeat, asked_to_stop: Callable[[], bool]) -> None:
        self.config = assignment.config
        self.attempt = assignment.attempt
        self.halved = assignment.halved
        self.heartbeat = heartbeat
        self.asked_to_stop = asked_to_stop
        self.workspace = Workspace(self.config.paths.workspace)
        self.prepared = Prepared.from_json(self.workspace.prepared.read_bytes())
        self.hyper = self.prepared.hyperparameters
        self.method = method_of(self.config)
        self.printer = ProgressPrinter("train")
        self.feeds: Feeds | None = None
        self.copier: CheckpointCopier | None = None
        self.began = time.monotonic()
        self.warnings: list[StageWarning] = []
        self.judged = True
        """Whether nothing in the store of copies is unknown to this attempt."""

    def run(self) -> None:
        """Raises what ends the attempt early: StageFailure, or an error of torch's."""
        try:
            self.train()
        except BaseException as exc:
            state = "stopped" if isinstance(exc, StageFailure) and exc.exit_code == ExitCode.PREEMPTED else "failed"
            if self.copier is not None:
                self.copier.end(state, partial(self.heartbeat.beat, "finishing"))
            if self.feeds is not None:
                self.feeds.end(state)
            raise

    def train(self) -> None:
        """From joining the others to the result."""
        strategy = strategy_of(self.prepared.strategy)
        world = self.joined(strategy.model_parallel(self.prepared.strategy))
        self.heartbeat.beat("loading")
        if world.is_first:
            print(f"train: on {device_name(world.device)} with {versions()}", flush=True)
        loss = load_custom_loss(self.prepared, self.workspace)  # what is wrong with it is found before the model is loaded
        resume = self.resume(world)
        if world.is_first:
            self.printer.show("loading the model", force=True, total_steps=self.hyper.total_steps)
        self.fit(world)
        learner = learner_of(self.config, self.prepared, self.workspace, loss)
        distributed = strategy.open(world, self.method, self.prepared)
        model = distributed.load(learner.load_base, resume.path if resume else None)
        if self.hyper.precision == "fp16" and strategy.autocast:
            compute_in_fp16(model, world.device)
        if world.is_first:
            print(f"train: attention by {getattr(model.config, '_attn_implementation', 'the model')}", flush=True)
        self.heartbeat.beat("planning")
        check_token_ids(self.workspace.train_rows, model)
        plan = learner.plan(model, world)
        context = self.context(model, world, distributed, learner, plan, resume)
        output = self.workspace.attempt_checkpoints(self.attempt)
        trainer = StepTrainer(model, training_arguments(self.hyper, output, world), context)
        self.stop_here(world, world.any(self.asked_to_stop())[0], "before its first step")
        step = resume.step if resume else 0
        if step < self.hyper.total_steps and not (context.validator and context.validator.exhausted):
            with within_memory(plan, self.hyper):
                trainer.train(resume_from_checkpoint=None if resume is None else str(resume.path))
            step = trainer.state.global_step
            self.stop_here(world, trainer.stopping and step < self.hyper.total_steps, f"at step {step}, with a checkpoint")
        self.heartbeat.beat("finishing")
        finish = Finish(self.config, self.attempt, self.prepared, self.heartbeat, self.feeds, self.began)
        best = finish.best(context, step)
        if best.checkpoint is not None:
            distributed.close()
            del trainer, model, distributed
            context = replace(context, distributed=strategy.open(world, self.method, self.prepared))
            release_memory()
            self.heartbeat.beat("loading")
            model = context.distributed.load(learner.load_base, best.checkpoint.path)
            self.heartbeat.beat("finishing")
        world.together(lambda: finish.last_loss(context, step) if world.is_first else None)  # before the ranks give their weights
        world.together(lambda: finish.write(model, context, step, best, self.warnings))
        world.leave()

    def joined(self, model_parallel: int) -> World:
        """All ranks, once they have met."""
        self.heartbeat.beat("joining")
        size = self.config.world.nodes * self.config.world.processes_per_node
        if size > 1 and os.environ.get("RANK", "0") == "0":
            self.printer.show(f"waiting for all {size} ranks", force=True)
        world = replace(join(self.config.limits.start_deadline, self.config.limits.stall_timeout), model_parallel=model_parallel)
        if world.size != size:
            raise invalid("WorldSizeDiffers", f"WORLD_SIZE is {world.size}, and the run config's world has {size} processes")
        return world

    def fit(self, world: World) -> None:
        """Chooses the micro-batch by the memory that all ranks find free, and by what an earlier attempt ran out of."""
        free = [count for count in world.gather(free_gpu_memory(world.device)) if count is not None]
        if free:
            self.prepared = self.prepared.fitted_to(min(free))
        if self.halved:
            self.prepared = self.half_the_micro_batch(world)
        self.hyper = self.prepared.hyperparameters

    def half_the_micro_batch(self, world: World) -> Prepared:
        """For an attempt after one that ran out of memory."""
        layout: Layout = "packed" if find_task(self.config.task).learner == "language" else "padded"
        found = halved(self.prepared, self.workspace.train_rows, world.data_size, layout)
        if world.is_first:
            budget, before = found.hyperparameters.micro_batch_tokens, self.prepared.hyperparameters.micro_batch_tokens
            print(f"train: micro-batches of {budget:,} tokens instead of {before:,}, as memory ran out in an earlier attempt", flush=True)
        return found

    def resume(self, world: World) -> Checkpoint | None:
        """This run's newest checkpoint that is whole; says which ones were not."""
        if world.is_first:
            self.printer.show("looking for a checkpoint", force=True, total_steps=self.hyper.total_steps)
        tick = partial(self.heartbeat.beat, "loading")
        found = choose_checkpoint(self.workspace.checkpoints, self.prepared.identity, self.attempt, world, tick)
        (interrupted,) = world.any(world.is_first and unfinished(self.workspace.checkpoints).exists())
        if (found.checkpoint is None or interrupted) and self.attempt > 1 and self.config.checkpoints.store is not None:
            restored = self.restored(world, self.config.checkpoints.store, lost=bool(found.passed), tick=tick)
            found = replace(restored, passed=found.passed + restored.passed)
        self.warnings += [StageWarning(code="CheckpointDamaged", message=note[:500]) for note in found.notes]
        for note in found.notes:
            print(f"train: {note}", flush=True)
        if world.is_first and found.notes:
            self.printer.show(found.notes[-1], force=True, total_steps=self.hyper.total_steps)
        return found.checkpoint

    def restored(self, world: World, settings: CheckpointStore, *, lost: bool, tick: Callable[[], None]) -> Resume:
        """What the object store has for a workspace that has no checkpoint: the one of an earlier attempt may be lost. Not judged by what
        is there alone: `lost` says that there were checkpoints which are damaged."""
        if world.is_first:
            self.printer.show("looking for a copy of a checkpoint", force=True, total_steps=self.hyper.total_steps)
        everything = self.hyper.validation_every is not None or self.config.checkpoints.publish
        restore = None
        if world.is_first:
            opened, required = partial(open_checkpoint_store, self.config, settings), lost or self.had_checkpoints()
            restore = Restore(opened, self.workspace.checkpoints, self.prepared.identity, everything, self.records, required)
        restore_together(restore, world, self.asked_to_stop, tick)
        if restore is not None:
            self.warnings += restore.warnings
            for warning in restore.warnings:
                print(f"train: {warning.message}", flush=True)
            self.judged = not any(warning.code == "CheckpointStoreUnavailable" for warning in restore.warnings)
            if restore.restored:
                print(f"train: brought back from {settings.uri}: {', '.join(restore.restored)}", flush=True)
            elif not restore.warnings:
                print(f"train: {settings.uri} has no copy to bring back", flush=True)
        return choose_checkpoint(self.workspace.checkpoints, self.prepared.identity, self.attempt, world, tick)

    def had_checkpoints(self) -> bool:
        """False only for a workspace in which no checkpoint can have been complete: earlier attempts ended before the first one."""
        metrics = self.workspace.metrics
        if not metrics.exists() or unfinished(self.workspace.checkpoints).exists():
            return True
        return any(done.step >= self.hyper.checkpoint_every for done in read_metrics(metrics))

    @property
    def records(self) -> tuple[Path, ...]:
        """Files of the workspace that go with the copy of a checkpoint: the curve so far, and the run that trackers know."""
        return self.workspace.metrics, self.workspace.run_id

    def copying(self) -> CheckpointCopier | None:
        """Rank 0's copies of what there is and of what will be written; None for a run without a store."""
        if (settings := self.config.checkpoints.store) is None:
            return None
        copier = CheckpointCopier(partial(open_checkpoint_store, self.config, settings), self.records, deletes=self.judged)
        if kept := complete_checkpoints(self.workspace.checkpoints, self.prepared.identity):
            copier.offer(kept)
        return copier

    def context(
        self, model: nn.Module, world: World, distributed: DistributedModel, learner: Learner, plan: StepPlan, resume: Checkpoint | None
    ) -> LoopContext:
        """What the loop needs."""
        resumed_step = resume.step if resume else 0
        self.copier = self.copying() if world.is_first else None
        log = self.log(model, world, plan, resumed_step) if world.is_first else None
        return LoopContext(
            world=world,
            distributed=distributed,
            plan=plan,
            learner=learner,
            places=RowPlaces(self.workspace.train_rows),
            optimizer=optimizer_of(self.hyper.optimizer),
            checkpoints=CheckpointPlace(
                self.workspace.checkpoints,
                self.prepared.identity,
                self.attempt,
                self.hyper.checkpoint_every,
                self.config.checkpoints.keep,
            ),
            heartbeat=self.heartbeat,
            asked_to_stop=self.asked_to_stop,
            log=log,
            validator=self.validator(world, learner, log, resume),
            loss_scale=LossScale() if self.hyper.precision == "fp16" else None,
            copier=self.copier,
        )

    def log(self, model: nn.Module, world: World, plan: StepPlan, resumed_step: int) -> RunLog:
        """Rank 0's account, and where else it goes."""
        objective = objective_of(self.config).settings(self.config.method)
        run = tracked_run(self.config, self.prepared, self.workspace, objective, self.attempt, resumed_step)
        self.feeds = Feeds(TRACKERS.values(), run)
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        validated = operations.validated(self.config) / operations.trained(self.config, recomputed=self.hyper.gradient_checkpointing)
        effort = work(world.device, world.size, self.method, self.prepared.summary.base_parameters, self.hyper.precision)
        return RunLog(
            MetricsFile(self.workspace.metrics, resumed_step),
            self.printer,
            self.feeds.log,
            Course.of(self.hyper, plan, validated, trained),
            resumed_step,
            plan.tokens_before(resumed_step),
            Usage(world.device, effort).figures,
            MicroBatches(
                tokens=self.hyper.micro_batch_tokens,
                accumulation=plan.accumulation(),
                gradient_checkpointing=self.hyper.gradient_checkpointing,
            ),
            self.copier.uris if self.copier is not None else dict,
        )

    def validator(self, world: World, learner: Learner, log: RunLog | None, resume: Checkpoint | None) -> Validator | None:
        """None for a run that does not ask for validations."""
        if self.hyper.validation_every is None:
            return None
        curve = read_curve(resume.path / CURVE) if resume else ValidationCurve()
        return Validator(learner, world, self.hyper, self.heartbeat, self.asked_to_stop, log, curve)

    def stop_here(self, world: World, asked: bool, where: str) -> None:
        """Ends the attempt for the SIGTERM that any rank was sent."""
        if asked:
            world.leave()
            raise StageFailure(
                ExitCode.PREEMPTED, "Preempted", f"stopped by SIGTERM {where}; the next attempt resumes from the last checkpoint"
            )
