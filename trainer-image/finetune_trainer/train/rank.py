"""What one rank does: join the others, load, train, and on rank 0 leave the trained weights and the result."""

import contextlib
import importlib.metadata
import os
import shutil
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from finetune_api.exit_codes import ExitCode
from finetune_api.result import StageResult, StageWarning, TrainSummary
from finetune_trainer.distributed.device import device_name, free_gpu_memory, release_memory
from finetune_trainer.distributed.world import World, join
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.learner import Learner
from finetune_trainer.learners import learner_of
from finetune_trainer.methods import method_of
from finetune_trainer.stage.log_file import kept_log
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.step_plan import Layout, StepPlan
from finetune_trainer.strategies import DistributedModel, strategy_of
from finetune_trainer.tasks import find_task
from finetune_trainer.trackers import TRACKERS
from finetune_trainer.trackers.feed import Feeds
from finetune_trainer.trackers.tracker import tracked_run
from finetune_trainer.train.best import choose_best
from finetune_trainer.train.checkpoints import Checkpoint, complete_checkpoints, figures_of
from finetune_trainer.train.errors import explain_rank
from finetune_trainer.train.launch.exchange import Assignment, Exchange
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.loop.arguments import training_arguments
from finetune_trainer.train.loop.curve import ValidationCurve, read_curve
from finetune_trainer.train.loop.metrics import MetricsFile, StepMetrics, read_metrics
from finetune_trainer.train.loop.run_log import RunLog
from finetune_trainer.train.loop.trainer import CURVE, CheckpointPlace, LoopContext, StepTrainer, writing
from finetune_trainer.train.loop.trend import loss_warning
from finetune_trainer.train.loop.validation import Validator
from finetune_trainer.train.micro_batch import halved, within_memory
from finetune_trainer.train.resume import choose_checkpoint
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.sealed import seal
from finetune_trainer.workspace.workspace import Workspace

WARNINGS = 3
"""Checkpoints that were passed over, in the result."""


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
        self.began = time.monotonic()
        self.warnings: list[StageWarning] = []

    def run(self) -> None:
        """Raises what ends the attempt early: StageFailure, or an error of torch's."""
        try:
            self.train()
        except BaseException as exc:
            if self.feeds is not None:
                self.feeds.end("stopped" if isinstance(exc, StageFailure) and exc.exit_code == ExitCode.PREEMPTED else "failed")
            raise

    def train(self) -> None:
        """From joining the others to the result."""
        self.heartbeat.beat("joining")
        size = self.config.world.nodes * self.config.world.processes_per_node
        if size > 1 and os.environ.get("RANK", "0") == "0":
            self.printer.show(f"waiting for all {size} ranks", force=True)
        world = join(self.config.limits.start_deadline, self.config.limits.stall_timeout)
        if world.size != size:
            raise invalid("WorldSizeDiffers", f"WORLD_SIZE is {world.size}, and the run config's world has {size} processes")
        self.heartbeat.beat("loading")
        if world.is_first:
            print(f"train: on {device_name(world.device)} with {versions()}", flush=True)
        resume = self.resume(world)
        if world.is_first:
            self.printer.show("loading the model", force=True, total_steps=self.hyper.total_steps)
        free = [count for count in world.gather(free_gpu_memory(world.device)) if count is not None]
        if free:
            self.prepared = self.prepared.fitted_to(min(free))
        if self.halved:
            self.prepared = self.half_the_micro_batch(world)
        self.hyper = self.prepared.hyperparameters
        learner = learner_of(self.config, self.prepared, self.workspace)
        distributed = strategy_of(self.prepared.strategy).open(world, self.method, self.prepared)
        model = distributed.load(learner.load_base, resume.path if resume else None)
        if world.is_first:
            print(f"train: attention by {getattr(model.config, '_attn_implementation', 'the model')}", flush=True)
        self.heartbeat.beat("planning")
        plan = learner.plan(model, world)
        context = self.context(world, distributed, learner, plan, resume)
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
        if (best := self.best(context, step)) is not None:
            del trainer, model, distributed
            context = replace(context, distributed=strategy_of(self.prepared.strategy).open(world, self.method, self.prepared))
            release_memory()
            self.heartbeat.beat("loading")
            model = context.distributed.load(learner.load_base, best.path)
            self.heartbeat.beat("finishing")
        world.together(lambda: self.last_loss(context, step) if world.is_first else None)  # before the ranks give their weights
        world.together(lambda: self.finish(model, context, step, best))
        world.leave()

    def best(self, context: LoopContext, step: int) -> Checkpoint | None:
        """The checkpoint to leave instead of the weights of the last step, `step`; None for these."""
        if context.validator is None or not self.hyper.load_best_model_at_end:
            return None
        tick = partial(self.heartbeat.beat, "finishing")
        found = choose_best(self.workspace.checkpoints, self.prepared.identity, context.validator.curve, step, context.world, tick)
        self.warnings = [*([found.warning] if found.warning else []), *self.warnings]
        if context.world.is_first and found.checkpoint:
            self.printer.show(f"loading the best checkpoint, {found.checkpoint.name}", force=True)
        return found.checkpoint

    def half_the_micro_batch(self, world: World) -> Prepared:
        """For an attempt after one that ran out of memory."""
        layout: Layout = "packed" if find_task(self.config.task).learner == "language" else "padded"
        found = halved(self.prepared, self.workspace.train_rows, world.size, layout)
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
        self.warnings = [StageWarning(code="CheckpointDamaged", message=note[:500]) for note in found.notes]
        for note in found.notes:
            print(f"train: {note}", flush=True)
        if world.is_first and found.notes:
            self.printer.show(found.notes[-1], force=True, total_steps=self.hyper.total_steps)
        return found.checkpoint

    def context(
        self, world: World, distributed: DistributedModel, learner: Learner, plan: StepPlan, resume: Checkpoint | None
    ) -> LoopContext:
        """What the loop needs."""
        resumed_step = resume.step if resume else 0
        metrics = MetricsFile(self.workspace.metrics, resumed_step) if world.is_first else None
        tokens = plan.tokens_before(resumed_step)
        log = None
        if metrics is not None:
            self.feeds = Feeds(TRACKERS.values(), tracked_run(self.config, self.prepared, self.workspace, self.attempt, resumed_step))
            log = RunLog(metrics, self.printer, self.feeds.log, self.hyper.total_steps, resumed_step, tokens, self.hyper.validation_every)
        return LoopContext(
            world=world,
            distributed=distributed,
            plan=plan,
            learner=learner,
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

    def finish(self, model: nn.Module, context: LoopContext, step: int, best: Checkpoint | None) -> None:
        """On rank 0 the trained weights, then the result, which from then on is the truth; other ranks give what they hold of them.

        `step` is the last one, `best` the checkpoint that `model` was loaded from, if it was.
        """
        weights = context.distributed.full_weights()
        if not context.world.is_first:
            for _ in weights:
                pass
            return
        loss = self.last_loss(context, step)
        trained = self.workspace.trained
        shutil.rmtree(trained, ignore_errors=True)
        try:
            writing(trained, lambda: self.write_weights(model, weights, trained, step))
        except BaseException:
            shutil.rmtree(trained, ignore_errors=True)
            raise
        metrics = read_metrics(self.workspace.metrics)
        validated = context.validator.curve.losses if context.validator is not None else {}
        kept = complete_checkpoints(self.workspace.checkpoints, self.prepared.identity)
        summary = TrainSummary(
            steps=step,
            loss=loss,
            tokens=context.plan.tokens_before(step),
            seconds=round(time.monotonic() - self.began, 3),
            validation=context.validator.summary() if context.validator is not None else None,
            stopped_early=context.validator.exhausted if context.validator is not None and step < self.hyper.total_steps else "",
            published_step=best.step if best else None,
            checkpoints=figures_of(kept, validated, {done.step: done.loss for done in metrics}),
            warnings=[*self.shortcomings(metrics, context), *self.warnings[:WARNINGS], *(self.feeds.end("finished") if self.feeds else [])],
        )
        result = StageResult(stage="train", spec_digest=self.config.job.spec_digest, attempt=self.attempt, train=summary)
        write_atomic(self.workspace.result("train"), result.to_json(indent=2))

    def shortcomings(self, metrics: list[StepMetrics], context: LoopContext) -> list[StageWarning]:
        """What the losses say against the result."""
        curve = context.validator.curve if context.validator is not None else ValidationCurve()
        overfitting = [StageWarning(code="Overfitting", message=message)] if (message := curve.overfitting()) else []
        return [*([rising] if (rising := loss_warning(metrics)) else []), *overfitting]

    def last_loss(self, context: LoopContext, step: int) -> float:
        """The loss of the run's last step, also where metrics.csv has gone since it was computed."""
        loss = context.log.loss if context.log is not None else None
        if loss is None:
            raise invalid(
                "MetricsMissing",
                f"{self.workspace.metrics} does not say any more what the loss of step {step} was, and no step is left "
                f"to train: remove {self.workspace.checkpoints} to train again, or put the file back",
            )
        return loss

    def write_weights(self, model: nn.Module, weights: Iterator[tuple[str, Tensor]], trained: Path, step: int) -> None:
        """In the method's folder, sealed."""
        self.printer.show("writing the trained weights", force=True, step=step, total_steps=self.hyper.total_steps)
        self.method.save(model, trained / self.method.folder, weights)
        seal(trained, self.prepared.identity, partial(self.heartbeat.beat, "finishing"))
