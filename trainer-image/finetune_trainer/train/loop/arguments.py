"""The run's hyperparameters as transformers.Trainer takes them."""

import math
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from finetune_api.resources.learning import Scheduler
from finetune_trainer.distributed.world import World
from finetune_trainer.failure import invalid
from finetune_trainer.workspace.prepared import ResolvedHyperparameters

SCHEDULES: dict[Scheduler, str] = {
    "constant": "constant_with_warmup",
    "warmup-stable-decay": "warmup_stable_decay",
    "inverse-square-root": "inverse_sqrt",
}
"""Where transformers has another name."""
DECAY = 0.2
"""Of the steps, at the end of warmup-stable-decay (Hu et al. 2024, MiniCPM: a tenth is enough for long runs)."""


def schedule_arguments(hyper: ResolvedHyperparameters) -> dict[str, Any]:
    """Of transformers.get_scheduler, beside the steps of warmup and run."""
    if hyper.scheduler == "polynomial":
        return {"power": 2.0, "lr_end": 0.0}
    if hyper.scheduler == "warmup-stable-decay":
        decay = max(1, min(math.ceil(DECAY * hyper.total_steps), hyper.total_steps - hyper.warmup_steps))
        return {"num_decay_steps": decay, "decay_type": "linear"}
    return {}


def training_arguments(hyper: ResolvedHyperparameters, output: Path, world: World) -> TrainingArguments:
    """Trainer's arguments. What is not here is done by StepTrainer or not at all."""
    cpu = world.device.type == "cpu"
    if hyper.precision in ("bf16", "tf32") and not cpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise invalid(
            "PrecisionNotSupported",
            f"{torch.cuda.get_device_name(world.device)} does not support {hyper.precision}, which takes compute capability 8.0: "
            "set hyperparameters.precision: fp16 or fp32",
            param="hyperparameters.precision",
        )
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=hyper.total_steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,  # a step is one item of the dataloader
        learning_rate=hyper.learning_rate,
        lr_scheduler_type=SCHEDULES.get(hyper.scheduler, hyper.scheduler),
        lr_scheduler_kwargs=schedule_arguments(hyper),
        warmup_steps=hyper.warmup_steps,
        weight_decay=hyper.weight_decay,
        max_grad_norm=hyper.max_grad_norm,
        bf16=hyper.precision == "bf16",  # fp16 is the loop's own: see fp16.py
        tf32=None if cpu else hyper.precision == "tf32",
        seed=hyper.seed,
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and world.size > 1 else None,
        ddp_find_unused_parameters=False,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would hide what DIVERGED is for
        save_strategy="no",  # StepCallback decides
        save_total_limit=None,  # Trainer would rotate before the new checkpoint is complete
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # one process, one GPU: never DataParallel
    return arguments
