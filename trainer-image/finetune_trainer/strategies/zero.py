"""The DistributedModel of strategy deepspeed: a model and the DeepSpeed engine that trains it.

The engine is called directly: Accelerate would update the weights within backward, before the loop has seen the norm. None of
DeepSpeed's own operations is used, as these are compiled where they run: the optimizer is torch's, the communication is
torch.distributed's.

A checkpoint holds whole tensors in fp32 by name, and every rank writes some of them: any number of processes and any stage can load it.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from finetune_trainer.distributed.world import World
from finetune_trainer.methods import TrainingMethod
from finetune_trainer.methods.method import check_names
from finetune_trainer.strategies.copies import Copies
from finetune_trainer.strategies.deepspeed import BUCKET, LIVE
from finetune_trainer.strategies.whole_tensors import WholeTensors, write_share
from finetune_trainer.workspace.prepared import Prepared

WEIGHTS, STATE = "weights", "optimizer"
"""Folders of a checkpoint."""
STEP = "step"
"""Updates that the optimizer has made, if it counts them; its other states have the shape of the weights."""
HOST = {"device": "cpu", "pin_memory": True}
"""Where offload keeps something."""
SEPARATOR = ":"
"""Between the names of a state and of a parameter."""


class Zero:
    """A DistributedModel: the whole model until `wrap`, then this rank's part of it."""

    model: nn.Module
    _engine: Any = None
    """A DeepSpeedEngine, after `wrap`."""

    def __init__(self, world: World, method: TrainingMethod, prepared: Prepared) -> None:
        self._world = world
        self._method = method
        self._stage = prepared.strategy.zero_stage
        self._offload = prepared.strategy.offload
        self._bf16 = method.trains_base and prepared.hyperparameters.precision == "bf16"
        os.environ["DS_ACCELERATOR"] = world.device.type  # before transformers imports DeepSpeed, which else looks for devices

    def accelerator_arguments(self) -> dict[str, Any]:
        return {}

    def load(self, load: Callable[[], nn.Module], checkpoint: Path | None) -> nn.Module:
        """Stage 3 leaves it on the CPU until `wrap`, as a device may be too small for the whole model."""
        self.model = load() if self._stage == 3 else load().to(self._world.device)
        if checkpoint is not None:
            written, trained = WholeTensors(checkpoint / WEIGHTS), self._trained()
            check_names(checkpoint, trained.keys() - written.names, written.names - trained.keys())
            for name, parameter in trained.items():
                parameter.data.copy_(written.read(name))
        return self.model

    def wrap(self, accelerator: Accelerator, optimizer_of: Callable[[], Optimizer]) -> tuple[nn.Module, Optimizer]:
        deepspeed, settings = self._library(), self._settings()
        model = accelerator.prepare_model(self.model, device_placement=False, evaluation_mode=True)  # autocast, nothing else
        if self._stage == 3:
            if self._bf16:
                for parameter in model.parameters():
                    parameter.data = parameter.data.bfloat16()
            deepspeed.zero.Init(module=model, config_dict_or_path=settings)  # moves one weight at a time to the device
        self._engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer_of(), config=settings)
        return self._engine, EngineOptimizer(self._engine)

    def _library(self) -> Any:
        """DeepSpeed on this rank's device, in the process group that is there."""
        self._world.form_group()
        os.environ["LOCAL_RANK"] = str(self._world.local_rank)
        import deepspeed

        deepspeed.ops.__compatible_ops__ = {}  # else it looks for a compiler and builds one for communication within a node
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        deepspeed.init_distributed(auto_mpi_discovery=False)
        return deepspeed

    def _settings(self) -> dict[str, Any]:
        """DeepSpeed's configuration. The batch is the loop's business: a micro-batch here is what is reduced at once."""
        zero: dict[str, Any] = {"stage": self._stage, "reduce_bucket_size": BUCKET, "allgather_bucket_size": BUCKET}
        if self._stage == 3:
            zero |= {"stage3_prefetch_bucket_size": BUCKET, "stage3_max_live_parameters": LIVE, "stage3_max_reuse_distance": LIVE}
        if self._offload != "none":
            zero["offload_optimizer"] = HOST
        if self._offload == "parameters":
            zero["offload_param"] = HOST
        return {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "zero_optimization": zero,
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,  # with offload, torch's
            "bf16": {"enabled": self._bf16},
            "data_types": {"grad_accum_dtype": "fp32"},
            "communication_data_type": "fp32",
        }

    @contextlib.contextmanager
    def micro(self, *, last: bool) -> Iterator[None]:
        self._engine.set_gradient_accumulation_boundary(last)
        yield

    def backward(self, loss: Tensor) -> None:
        self._engine.backward(loss)

    def norm(self) -> Tensor:
        from deepspeed.utils import safe_get_local_grad

        optimizer = self._engine.optimizer
        if self._stage == 3:
            square = get_total_norm([safe_get_local_grad(parameter) for parameter in self._trained().values()]).square()
            torch.distributed.all_reduce(square)
            return square.sqrt()
        if hasattr(optimizer, "get_grads_for_norm"):  # stage 1 in bf16: every rank has all gradients
            return get_total_norm(optimizer.get_grads_for_norm()[0])
        norm: Tensor = optimizer.scaled_global_norm()
        return norm.where(norm >= 0, float("nan"))  # -1 stands for what is not finite

    def clip(self, norm: Tensor, most: float) -> None:
        self._engine.optimizer.clip_grad = most  # as a part of the update

    def save(self, directory: Path) -> list[Path]:
        link_states(self._engine)
        copies = Copies()
        shares: dict[str, dict[str, Tensor]] = {WEIGHTS: {}, STATE: {}}
        states = [state for state in first_state(self._engine) if state != STEP]
        for place, (name, parameter) in enumerate(self._trained().items()):
            wanted = place % self._world.size == self._world.rank
            for folder, key, tensor in self._whole(name, parameter, states):
                if wanted and (copy := copies.of(tensor)) is not None:
                    shares[folder][key] = copy
        copies.end()
        if self._world.is_first and (step := first_state(self._engine).get(STEP)) is not None:
            shares[STATE][STEP] = step.cpu()
        return [path for folder, share in shares.items() for path in write_share(directory / folder, share, self._world.rank)]

    def _whole(self, name: str, parameter: nn.Parameter, states: list[str]) -> Iterator[tuple[str, str, Tensor]]:
        """The weight and its optimizer states in fp32: folder, name in its file, tensor. Gathers one at a time."""
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        yield WEIGHTS, name, safe_get_full_fp32_param(parameter)
        for state in states:
            yield STATE, state_name(state, name), safe_get_full_optimizer_state(parameter, state)

    def restore(self, checkpoint: Path) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        weights, written = WholeTensors(checkpoint / WEIGHTS), WholeTensors(checkpoint / STATE)
        states = sorted({name.split(SEPARATOR)[0] for name in written.names} - {STEP})
        make_states(self._engine, states, written.read(STEP) if STEP in written.names else None)
        for name, parameter in self._trained().items():
            safe_set_full_fp32_param(parameter, weights.read(name))
            for state in states:
                safe_set_full_optimizer_state(parameter, written.read(state_name(state, name)), state)

    def full_weights(self) -> Iterator[tuple[str, Tensor]]:
        """In fp32 what is trained. Gathers one tensor at a time; tied weights stay one tensor."""
        copies = Copies()
        gathered: dict[int, Tensor | None] = {}
        for name, tensor in self.model.state_dict(keep_vars=True).items():
            if not tensor.requires_grad and self._method.published == "adapter":
                continue
            if id(tensor) not in gathered:
                whole = self._gathered(tensor)
                gathered[id(tensor)] = copies.of(whole) if self._world.is_first else None
            if (found := gathered[id(tensor)]) is not None:
                yield name, found
        copies.end()

    def close(self) -> None:
        """Takes DeepSpeed's hooks off the weights: torch holds these, and they hold the engine."""
        if self._engine is not None:
            self._engine.destroy()

    def _gathered(self, tensor: Any) -> Tensor:
        if self._engine is None:
            return tensor.detach()  # type: ignore[no-any-return]
        from deepspeed.runtime.zero import GatheredParameters
        from deepspeed.utils import safe_get_full_fp32_param

        if tensor.requires_grad:
            return safe_get_full_fp32_param(tensor)  # type: ignore[no-any-return]
        with GatheredParameters([tensor], enabled=hasattr(tensor, "ds_id")):
            return tensor.detach().clone()  # type: ignore[no-any-return]

    def _trained(self) -> dict[str, Any]:
        """What is trained, by name."""
        return {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}


class EngineOptimizer(Optimizer):
    """The engine as the loop's optimizer: its groups have the learning rates, its step() also clips and clears the gradients."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.param_groups = engine.basic_optimizer.param_groups
        self.defaults = engine.basic_optimizer.defaults
        self.state = engine.basic_optimizer.state

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self._engine.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing: done by step()."""


def state_name(state: str, parameter: str) -> str:
    """ "exp_avg:model.norm.weight"."""
    return f"{state}{SEPARATOR}{parameter}"


def parts(engine: Any) -> list[Tensor]:
    """What torch's optimizer updates: this rank's part of the trained weights, in one or more flat tensors."""
    if hasattr(engine.optimizer, "fp32_partitioned_groups_flat"):  # stage 3
        return list(engine.optimizer.fp32_partitioned_groups_flat)
    return [part for group in engine.basic_optimizer.param_groups for part in group["params"]]


def first_state(engine: Any) -> dict[str, Tensor]:
    """Of a part; those of the others have the same names and the same step."""
    state: dict[str, Tensor] = engine.basic_optimizer.state[parts(engine)[0]]
    return state


def make_states(engine: Any, names: list[str], step: Tensor | None) -> None:
    """The states that the first update would have made, for DeepSpeed to fill by parameter."""
    optimizer = engine.basic_optimizer
    for part in parts(engine):
        at = part.device if optimizer.defaults.get("fused") else torch.device("cpu")
        counted = {} if step is None else {STEP: step.clone().to(at)}
        optimizer.state[part] = counted | {name: torch.zeros_like(part) for name in names}
    link_states(engine)


def link_states(engine: Any) -> None:
    """Tells the parameters of stages 1 and 2 where their states are: by itself DeepSpeed does so after the first group's update."""
    from deepspeed.utils import lazy_init_hp_params_optimizer_state

    groups = getattr(engine.optimizer, "bit16_groups", None) or getattr(engine.optimizer, "bf16_groups", None) or []
    for group, part in zip(groups, parts(engine) if groups else [], strict=True):
        lazy_init_hp_params_optimizer_state(group, part, engine.basic_optimizer.state)
