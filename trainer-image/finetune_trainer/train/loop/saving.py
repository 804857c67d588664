"""A checkpoint of the loop, written by all ranks together: complete or absent."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerState

from finetune_trainer.train.checkpoints import checkpoint_at, figures_of, remove, rotate
from finetune_trainer.train.errors import writing
from finetune_trainer.train.loop.context import LoopContext
from finetune_trainer.train.loop.fp16 import LossScale
from finetune_trainer.workspace.checksums import FileSum, sums_of
from finetune_trainer.workspace.files import is_complete, sync_files, write_atomic
from finetune_trainer.workspace.sealed import seal_files

SCHEDULER, STATE, CURVE, LOSS_SCALE = "scheduler.pt", "trainer_state.json", "validation.json", "loss_scale.json"
"""Files of a checkpoint: the learning rate's schedule, Trainer's place in the run, the validations so far, and the scale of fp16."""


@dataclass(frozen=True)
class CheckpointWriter:
    """Writes the checkpoint of the step that the loop is at."""

    context: LoopContext
    state: TrainerState
    schedule: LRScheduler
    save_random_state: Callable[[str], None]
    """Writes this rank's random numbers into a directory: Trainer's."""
    loss_scale: LossScale | None = None

    def write(self) -> None:
        """Raises on all ranks what failed on any; nothing is left then."""
        context, place = self.context, self.context.checkpoints
        directory = checkpoint_at(place.root, place.attempt, self.state.global_step).path
        context.heartbeat.beat("saving")
        if context.log is not None:
            context.log.checkpoint_begins()
        files: list[Path] = []
        sums: dict[str, FileSum] = {}
        try:
            context.world.together(lambda: writing(directory, lambda: files.extend(context.distributed.save(directory))))
            context.world.together(lambda: writing(directory, lambda: files.extend(self._save_state(directory))))
            context.world.together(lambda: sync_files(files))
            context.world.together(lambda: sums.update(sums_of(directory, files, lambda: context.heartbeat.beat("saving"))))
            everywhere = context.world.gather(sums)
            context.world.together(lambda: writing(directory, lambda: self._complete(directory, everywhere)))
        except BaseException:
            if context.world.is_first and not is_complete(directory):
                remove(directory)
            raise
        context.heartbeat.beat("saving")

    def _save_state(self, directory: Path) -> list[Path]:
        """What is not the DistributedModel's: random numbers of every rank, schedule, and place in the run."""
        world = self.context.world
        self.save_random_state(str(directory))
        written = [directory / (f"rng_state_{world.rank}.pth" if world.size > 1 else "rng_state.pth")]
        if world.is_first:
            torch.save(self.schedule.state_dict(), directory / SCHEDULER)
            self.state.save_to_json(str(directory / STATE))
            written += [directory / SCHEDULER, directory / STATE]
            if self.loss_scale is not None:
                write_atomic(directory / LOSS_SCALE, self.loss_scale.to_json())
                written.append(directory / LOSS_SCALE)
            if self.context.validator is not None:
                write_atomic(directory / CURVE, self.context.validator.curve.to_json())
                written.append(directory / CURVE)
        return written

    def _complete(self, directory: Path, sums: list[dict[str, FileSum]]) -> None:
        if self.context.world.is_first:
            place = self.context.checkpoints
            seal_files(directory, place.owner, {name: found for part in sums for name, found in part.items()})
            losses = self.context.validator.curve.losses if self.context.validator is not None else {}
            copier = self.context.copier
            kept = rotate(place.root, place.owner, place.keep, losses, directory, copier.copying if copier is not None else None)
            if copier is not None:
                copier.offer(kept)
            if self.context.log is not None:
                self.context.log.checkpoint_ends(self.state.global_step, figures_of(kept, losses, self.context.log.losses()))
