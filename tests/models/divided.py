"""Whether two processes can divide the layers of a tiny language model: a training must have the losses and the gradients of one process.

The two processes live as long as they agree; one that hangs takes both with it, and others are started.
"""

import datetime
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from finetune_api.run_config import RunMethod
from finetune_trainer.distributed.network import free_port
from finetune_trainer.methods import METHODS
from finetune_trainer.strategies.division import divide, kept_whole, parameter_style, style_of
from tests.models.tiny_models import load_tiny

SIZE, STEPS, MICRO_BATCHES = 2, 3, 2
CLOSE, NOISE = 1e-3, 1e-6
"""Of a parameter's gradient, and of that of all parameters."""
PATIENCE, TO_START = 120.0, 600.0
"""Seconds for a family, and for what the processes import."""
DIVIDES = ("colwise", "rowwise", "embedding", "packed")
"""How the names of styles begin that divide parameters."""
SETTINGS: dict[str, dict[str, Any]] = {"lora": {"type": "lora", "lora": {"rank": 4, "alpha": 16}}, "full": {"type": "full"}}


class Pair:
    """Two processes that train one model after another."""

    def __init__(self) -> None:
        self._processes: Any = None

    def reason(self, base: Path, method: str) -> str:
        """Why they cannot train it together by a method, "" if they can."""
        if self._processes is None:
            self._start()
        for inbox in self._inboxes:
            inbox.put((str(base), method))
        try:
            answers = [self._answers.get(timeout=PATIENCE) for _ in range(SIZE)]
        except queue.Empty:
            self.end()
            return "the processes wait for each other"
        if len(set(answers)) > 1:
            self.end()  # what failed on one of them may have left the other somewhere else
        return str(next((answer for answer in answers if answer), ""))

    def _start(self) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self._inboxes, self._answers = [context.Queue() for _ in range(SIZE)], context.Queue()
        port = free_port()
        self._processes = [
            context.Process(target=work, args=(rank, port, self._inboxes[rank], self._answers), daemon=True) for rank in range(SIZE)
        ]
        for process in self._processes:
            process.start()
        for _ in range(SIZE):
            self._answers.get(timeout=TO_START)  # that it has started

    def end(self) -> None:
        """Both of them."""
        for process in self._processes or ():
            process.kill()
            process.join()
        self._processes = None


PAIR = Pair()


def work(rank: int, port: int, inbox: Any, answers: Any) -> None:
    """One of the two, until it is killed."""
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=SIZE, timeout=datetime.timedelta(seconds=PATIENCE)
    )
    mesh = init_device_mesh("cpu", (SIZE,))
    answers.put("")
    while True:
        base, method = inbox.get()
        try:
            answers.put(difference(Path(base), method, mesh))
        except Exception as exc:
            answers.put(f"the tensor-parallel plan of transformers fails ({type(exc).__name__})")


def difference(base: Path, method: str, mesh: Any) -> str:
    """Between a model that is divided and one that is not; "" if there is none."""
    alone, divided = (prepared(base, method) for _ in range(2))
    if not divided.get_base_model().tp_plan if hasattr(divided, "get_base_model") else not divided.tp_plan:
        return "transformers has no tensor-parallel plan for it"
    divide(divided, mesh)
    if not any("layers" in name and hasattr(parameter, "full_tensor") for name, parameter in divided.named_parameters()):
        return "the tensor-parallel plan of transformers divides none of its layers"
    for (loss, gradients), (other, others) in zip(steps(alone), steps(divided), strict=True):
        if not abs(loss - other) < 1e-4 * abs(loss):
            return "with the tensor-parallel plan of transformers, two processes have other losses than one"
        noise = NOISE * float(torch.stack([gradient.norm() for gradient in gradients.values()]).norm())
        if not all((others[name] - wanted).norm() < CLOSE * wanted.norm() + noise for name, wanted in gradients.items()):
            return "with the tensor-parallel plan of transformers, two processes have other gradients than one"
    return ""


def undivided(model_type: str) -> float:
    """Share of the parameters of the default config that every rank has whole; 0 if transformers makes no model of it."""
    try:
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(CONFIG_MAPPING[model_type]())  # type: ignore[no-untyped-call]
    except Exception:
        return 0.0
    plan, alike = model.tp_plan, kept_whole(model, model.tp_plan)
    sizes: dict[int, tuple[int, bool]] = {}
    for name, module in model.named_modules():
        own = style_of(name, plan)
        for place, parameter in module.named_parameters(recurse=False):
            style = None if module in alike else parameter_style(f"{name}.{place}", own, plan)
            sizes[id(parameter)] = parameter.numel(), style is not None and style.startswith(DIVIDES)
    left = sum(size for size, divides in sizes.values() if not divides)
    return round(left / sum(size for size, _ in sizes.values()), 3)


def prepared(base: Path, method: str) -> Any:
    """The model in training form, with adapters that change it."""
    torch.manual_seed(1)
    model = METHODS[method].prepare(load_tiny(base), RunMethod.model_validate(SETTINGS[method]), "CAUSAL_LM", [])
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model.train()


def steps(model: Any) -> Iterator[tuple[float, dict[str, Tensor]]]:
    """The loss and the gradients of a few steps, each of some micro-batches with other tokens."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.SGD(trained.values(), lr=0.05, foreach=False)
    for step in range(STEPS):
        torch.manual_seed(step)
        total = 0.0
        for _ in range(MICRO_BATCHES):
            ids = torch.randint(5, 250, (1, 24))
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
            loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:]) / MICRO_BATCHES
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        yield total, {name: whole(parameter) for name, parameter in trained.items()}
        optimizer.step()
        optimizer.zero_grad()


def whole(parameter: Any) -> Tensor:
    """The gradient of all ranks; zeros for experts that no token came to."""
    gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
    return gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
