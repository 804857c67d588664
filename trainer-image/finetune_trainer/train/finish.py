"""What is done after the last step: the best checkpoint chosen, on rank 0 the trained weights and the result written."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from finetune_api.result import StageResult, StageWarning, TrainSummary
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import invalid
from finetune_trainer.methods import method_of
from finetune_trainer.trackers.feed import Feeds
from finetune_trainer.train.best import Best, choose_best
from finetune_trainer.train.checkpoints import figures_of, rotate, with_copies
from finetune_trainer.train.errors import writing
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.loop.context import LoopContext
from finetune_trainer.train.loop.curve import ValidationCurve
from finetune_trainer.train.loop.metrics import StepMetrics, read_metrics
from finetune_trainer.train.loop.trend import loss_warning
from finetune_trainer.workspace.files import write_atomic
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.sealed import seal
from finetune_trainer.workspace.workspace import Workspace

WARNINGS = 3
"""Checkpoints that were passed over, in the result."""


@dataclass(frozen=True)
class Finish:
    """One rank's end of a run. Holds no model: the one that was trained can be released before the best one is loaded."""

    config: RunConfig
    attempt: int
    prepared: Prepared
    heartbeat: Heartbeat
    feeds: Feeds | None
    """On rank 0 only."""
    began: float
    """When the attempt began, by time.monotonic."""

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.config.paths.workspace)

    def best(self, context: LoopContext, step: int) -> Best:
        """The checkpoint to leave instead of the weights of the last step, `step`, where the run asks for the best one."""
        if context.validator is None or not self.prepared.hyperparameters.load_best_model_at_end:
            return Best(None)
        tick = partial(self.heartbeat.beat, "finishing")
        best = choose_best(self.workspace.checkpoints, self.prepared.identity, context.validator.curve, step, context.world, tick)
        if context.log is not None and best.checkpoint:
            context.log.show(f"loading the best checkpoint, {best.checkpoint.name}", force=True)
        return best

    def write(self, model: nn.Module, context: LoopContext, step: int, best: Best, passed_over: Sequence[StageWarning]) -> None:
        """On rank 0 the trained weights, then the result, which from then on is the truth; other ranks give what they hold of them.

        `step` is the last one, `best` says which checkpoint `model` was loaded from, `passed_over` are those that were damaged.
        """
        weights = self.gathered(context.distributed.full_weights())
        if not context.world.is_first:
            for _ in weights:
                pass
            return
        loss, total = self.last_loss(context, step), self.prepared.hyperparameters.total_steps
        assert context.log is not None  # on rank 0
        context.log.show("writing the trained weights", force=True)
        trained = self.workspace.trained
        shutil.rmtree(trained, ignore_errors=True)
        try:
            writing(trained, lambda: self.write_weights(model, weights, trained))
        except BaseException:
            shutil.rmtree(trained, ignore_errors=True)
            raise
        metrics = read_metrics(self.workspace.metrics)
        validated = context.validator.curve.losses if context.validator is not None else {}
        uncopied = context.copier.end("finished", partial(self.heartbeat.beat, "writing")) if context.copier is not None else None
        place = context.checkpoints  # rotated once more: a slow copy may have kept one that is too many
        kept = rotate(place.root, place.owner, place.keep, validated)
        uris = context.copier.uris() if context.copier is not None else {}
        noted = [*([uncopied] if uncopied else []), *([best.warning] if best.warning else []), *passed_over]
        summary = TrainSummary(
            steps=step,
            loss=loss,
            tokens=context.plan.tokens_before(step),
            seconds=round(time.monotonic() - self.began, 3),
            validation=context.validator.summary() if context.validator is not None else None,
            stopped_early=context.validator.exhausted if context.validator is not None and step < total else "",
            published_step=best.checkpoint.step if best.checkpoint else None,
            checkpoints=with_copies(figures_of(kept, validated, {done.step: done.loss for done in metrics}), uris),
            warnings=[*self.shortcomings(metrics, context), *noted[:WARNINGS], *(self.feeds.end("finished") if self.feeds else [])],
        )
        result = StageResult(stage="train", spec_digest=self.config.job.spec_digest, attempt=self.attempt, train=summary)
        write_atomic(self.workspace.result("train"), result.to_json(indent=2))

    def gathered(self, weights: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """The same. With the last one, rank 0 needs no other rank any more."""
        for weight in weights:
            self.heartbeat.beat("finishing")
            yield weight
        self.heartbeat.beat("writing")

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

    def write_weights(self, model: nn.Module, weights: Iterator[tuple[str, Tensor]], trained: Path) -> None:
        """In the method's folder, sealed."""
        method = method_of(self.config)
        method.save(model, trained / method.folder, weights)
        seal(trained, self.prepared.identity, partial(self.heartbeat.beat, "writing"))
