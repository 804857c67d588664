"""The training loop: transformers.Trainer, with one optimizer step as its unit.

One item of the dataloader is one step of this rank, a list of micro-batches; Trainer's own accumulation is not used, so
that the number of micro-batches may differ from step to step. The loss of a step is the mean over all that it supervises
(tokens or examples) on all ranks; what is computed is the Learner's business, how it is spread over the ranks that of the
DistributedModel. Trainer keeps what it does well: epochs, optimizer, schedule, callbacks.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.learner import ModelBatch
from finetune_trainer.methods.ia3 import FACTORS
from finetune_trainer.train.errors import explain_step
from finetune_trainer.train.loop.context import LoopContext
from finetune_trainer.train.loop.fp16 import LossScale
from finetune_trainer.train.loop.saving import LOSS_SCALE, SCHEDULER, CheckpointWriter
from finetune_trainer.train.loop.steps import RankStep, step_loader


class StepCallback(TrainerCallback):
    """What happens between steps: a validation or a checkpoint when one is due, the end when it was asked for."""

    def __init__(self, trainer: "StepTrainer") -> None:
        self._trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        model, context, validator = self._trainer.model_wrapped, self._trainer.context, self._trainer.context.validator
        assert model is not None  # since _prepare_for_training
        context.learner.before_steps(model, context.plan, state.global_step, self._trainer.watch)
        if validator is not None and validator.owed(state.global_step):  # the last attempt was stopped before it
            self._trainer.validate()
        if context.log is not None:
            context.log.steps_begin()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        finished = state.global_step >= state.max_steps
        due = state.global_step % self._trainer.context.checkpoints.every == 0
        validator = self._trainer.context.validator
        control.should_evaluate = validator is not None and validator.due(state.global_step) and (finished or not self._trainer.stopping)
        control.should_save = not finished and (due or self._trainer.stopping)
        control.should_training_stop = finished or self._trainer.stopping


class StepTrainer(Trainer):
    """See the module. `stopping` is true after train() when SIGTERM ended it early, with a checkpoint."""

    loss_is_scaled_for_ga = True  # Trainer must not divide it again

    def __init__(self, model: nn.Module, arguments: TrainingArguments, context: LoopContext) -> None:
        self.context = context
        super().__init__(model=model, args=arguments)
        self.stopping = False
        self.model_accepts_loss_kwargs = False
        self._step_tokens = self._step_supervised = 0
        self._step_loss = torch.zeros((), device=context.world.device)
        self.loss_scale = context.loss_scale
        self._step_rows: list[tuple[int, ...]] = []
        self._micro_losses: list[torch.Tensor] = []
        """Of the step's micro-batches on this rank."""
        self.remove_callback(PrinterCallback)
        self.add_callback(StepCallback(self))

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Of what is trained: matrices decay, biases and norms do not, as Trainer has it, nor do IA3's factors: at 0 they would end all."""
        assert self.model is not None
        trained = {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        decaying = {name for name in self.get_decay_parameter_names(self.model) if name in trained and FACTORS not in name}
        groups = [
            {"params": [parameter for name, parameter in trained.items() if name in decaying], "weight_decay": self.args.weight_decay},
            {"params": [parameter for name, parameter in trained.items() if name not in decaying], "weight_decay": 0.0},
        ]
        return self.context.optimizer.make(groups, self.model, self.args.learning_rate)

    def get_train_dataloader(self) -> DataLoader[RankStep]:
        return step_loader(self.context.plan, self.context.learner, self.context.world.data_rank)

    def get_batch_samples(self, epoch_iterator: Iterator[RankStep], num_batches: int, device: torch.device) -> tuple[list[RankStep], None]:
        ended = self.control.should_training_stop  # by the validation that the last attempt owed
        step = None if ended else next(epoch_iterator, None)
        return ([] if step is None else [step]), None

    def floating_point_ops(self, inputs: Any) -> int:
        return 0

    def _build_accelerator_args(self, **kwargs: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_accelerator_args(**kwargs)
        return arguments | self.context.distributed.accelerator_arguments()

    def _move_model_to_device(self, model: nn.Module, device: torch.device) -> None:
        """Nothing: the DistributedModel has placed it."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Nothing: the DistributedModel loads weights, in load() or restore()."""

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: DataLoader[RankStep], resume_from_checkpoint: str | None
    ) -> tuple[nn.Module, DataLoader[RankStep]]:
        distributed = self.context.distributed
        self.model_wrapped, self.optimizer = distributed.wrap(self.accelerator, self.create_optimizer)
        self.create_scheduler(num_training_steps=max_steps)
        if resume_from_checkpoint is not None:
            checkpoint = Path(resume_from_checkpoint)
            distributed.restore(checkpoint)
            self._schedule().load_state_dict(torch.load(checkpoint / SCHEDULER, weights_only=True))
            if self.loss_scale is not None:
                self.loss_scale = LossScale.from_json((checkpoint / LOSS_SCALE).read_bytes())
            for group, rate in zip(self.optimizer.param_groups, self._schedule().get_last_lr(), strict=True):
                group["lr"] = rate
        for name in ("model", "optimizer", "lr_scheduler"):
            setattr(self.callback_handler, name, getattr(self, name))
        self.callback_handler.train_dataloader = train_dataloader
        return self.model_wrapped, train_dataloader

    def watch(self, activity: str, done: int, total: int) -> None:
        """Shows what is done before the first step; raises StageFailure on all ranks when one was sent SIGTERM."""
        context = self.context
        context.heartbeat.beat("planning")
        if context.log is not None:
            context.log.show_share(activity, done, total)
        if context.world.any(context.asked_to_stop())[0]:
            context.world.leave()
            raise StageFailure(
                ExitCode.PREEMPTED, "Preempted", f"stopped by SIGTERM while {activity} ({done} of {total}); the next attempt goes on there"
            )

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of this rank's micro-batches; returns this rank's share of the loss times the number of shares."""
        step: RankStep = inputs
        model.train()
        self._step_tokens, self._step_supervised = step.tokens, step.supervised
        self._step_rows, self._micro_losses = step.rows, []
        self._step_loss = torch.zeros((), device=self.context.world.device)
        self._looked_at, self._looking_at = 0, step.rows[0]
        try:
            self.context.learner.before_step(model, step.batches, self._look_at)
            for place, batch in enumerate(step.batches, start=1):
                batch, self._looking_at = batch.to(self.context.world.device), step.rows[place - 1]
                loss = self._micro_step(model, batch, step.supervised, last=place == len(step.rows))
                self._step_loss += loss  # where an error on a GPU may come to light
                self._micro_losses.append(loss)
            if step.failure is not None:
                self._looking_at = step.rows[len(step.batches)]
                raise step.failure
        except Exception as exc:
            where = self.context.places.of(self._looking_at)
            raise explain_step(exc, self.state.global_step + 1, where) from exc
        return self._step_loss.clone()

    def _seed(self, batch: ModelBatch) -> None:
        torch.manual_seed(dropout_seed(self.args.seed, self.state.global_step, batch.index))

    def _look_at(self, batch: ModelBatch, rows: tuple[int, ...] = ()) -> None:
        """A Begin."""
        self._looking_at = rows or self._step_rows[self._looked_at]
        self._looked_at += 1
        self._seed(batch)
        self.context.heartbeat.beat("training")
        if self.context.log is not None:
            self.context.log.show("training")

    def _micro_step(self, model: nn.Module, batch: ModelBatch, supervised: int, *, last: bool) -> torch.Tensor:
        context = self.context
        self._seed(batch)
        with context.distributed.micro(last=last):
            # Gradients are averaged over the shares, hence the factor.
            loss = context.learner.loss_sum(model, batch) * (context.world.data_size / max(1, supervised))
            context.distributed.backward(loss if self.loss_scale is None else loss * self.loss_scale.value)
        context.heartbeat.beat("training")
        if context.log is not None:
            context.log.show("training")
        return loss.detach()

    def _clip_grad_norm(self, model: nn.Module) -> float:
        """Decides, on all ranks alike and before the update, whether the step may be taken; returns the norm before clipping."""
        norm = self.context.distributed.norm()
        figures = torch.stack([self._step_loss, norm.to(self._step_loss)]).tolist()  # the step's only synchronisation with the device
        lost, exploded = (not math.isfinite(figure) for figure in figures)
        lost, exploded, self.stopping = self.context.world.any(lost, exploded, self.context.asked_to_stop())
        scale = self.loss_scale
        if scale is not None:
            self.loss_scale = scale.after(overflow=exploded)
        if lost or (exploded and self.loss_scale is None):
            raise self._diverged(f"the loss{self._lost_rows()}" if lost else "the gradient")
        if exploded:
            return self._skip()
        most = self.args.max_grad_norm if scale is None else scale.bound(figures[1], self.args.max_grad_norm)
        self.context.distributed.clip(norm, most)
        return float(figures[1]) / (1 if scale is None else scale.value)

    def _skip(self) -> float:
        """Leaves the weights and the optimizer's state as they are: without gradients, an update changes nothing. Returns the norm."""
        assert self.model is not None and self.loss_scale is not None
        for parameter in self.model.parameters():
            parameter.grad = None
        if self.context.log is not None:
            step, scale = self.state.global_step + 1, self.loss_scale.value
            print(f"train: the gradient of step {step} overflows in fp16: it changes nothing, and the loss is scaled by {scale:g} now")
        return 0.0

    def _lost_rows(self) -> str:
        """ " of" the rows of the micro-batches whose losses are not finite, or the first ones of them. All ranks call it."""
        batches = zip(self._step_rows, self._micro_losses, strict=True)
        mine = [row for rows, loss in batches if not math.isfinite(float(loss)) for row in rows]
        rows = [row for share in self.context.world.gather_shares(mine) for row in share]
        return f" of {self.context.places.of(rows)}" if rows else ""

    def _diverged(self, what: str) -> StageFailure:
        fp32 = "" if self.context.loss_scale is None else "set hyperparameters.precision: fp32, "
        return StageFailure(
            ExitCode.DIVERGED,
            "Diverged",
            f"{what} is not finite at step {self.state.global_step + 1}: {fp32}lower hyperparameters.learningRate "
            f"(now {self.args.learning_rate:g}) or hyperparameters.maxGradNorm (now {self.args.max_grad_norm:g}), and check the "
            "data near it; checkpoints up to this step are good",
            param="hyperparameters.learningRate",
        )

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> dict[str, float]:
        self.validate()
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, {})
        return {}

    def validate(self) -> None:
        """Validates the weights as they are; SIGTERM ends it without a result, and the next attempt does it again."""
        validator = self.context.validator
        assert validator is not None and self.model_wrapped is not None
        point = validator.run(self.model_wrapped, self.state.global_step)
        if self.state.global_step >= self.state.max_steps:
            return
        if point is None:
            self.stopping = self.control.should_save = True
        self.control.should_save |= validator.improved(self.state.global_step)
        self.control.should_training_stop |= self.stopping or bool(validator.exhausted)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        figures = self._figures() if "loss" in logs else {}
        if self.context.log is not None and "loss" in logs:
            self.context.log.step_ends(
                step=self.state.global_step,
                epoch=float(self.state.epoch or 0),
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                grad_norm=logs["grad_norm"],
                tokens=self._step_tokens,
                figures=figures,
                validated=self.control.should_evaluate,
            )

    def _figures(self) -> dict[str, float]:
        """The learner's, as means over the step of all ranks."""
        mine = self.context.learner.step_figures()
        if not mine:
            return {}
        shares = self.context.world.gather_shares(mine)
        return {name: sum(share[name] for share in shares) / self._step_supervised for name in mine}

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        CheckpointWriter(self.context, self.state, self._schedule(), self._save_rng_state, self.loss_scale).write()

    def _schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        assert self.lr_scheduler is not None  # since _prepare_for_training
        return self.lr_scheduler


def dropout_seed(seed: int, step: int, micro_batch: int) -> int:
    """Seed of a forward pass: the same for the same micro-batch of the run, on whatever rank and after whatever resume."""
    return int(np.random.SeedSequence([seed, step, micro_batch]).generate_state(1)[0])
