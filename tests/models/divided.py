"""Whether two processes can divide the layers of a tiny language model: a training must have the losses of one process.

The two processes live as long as they agree; one that hangs takes both with it, and others are started.
"""

import datetime
import queue
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch.distributed.device_mesh import init_device_mesh

from finetune_api.run_config import RunMethod
from finetune_trainer.distributed.network import free_port
from finetune_trainer.methods import METHODS
from finetune_trainer.strategies.division import divide
from tests.models.tiny_models import load_tiny

SIZE, STEPS = 2, 3
PATIENCE, TO_START = 120.0, 600.0
"""Seconds for a family, and for what the processes import."""
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
    wanted, found = losses(alone), losses(divided)
    near = all(abs(one - other) < 1e-4 * abs(one) for one, other in zip(wanted, found, strict=True))
    return "" if near else "with the tensor-parallel plan of transformers, two processes have other losses than one"


def prepared(base: Path, method: str) -> Any:
    """The model in training form, with adapters that change it."""
    torch.manual_seed(1)
    model = METHODS[method].prepare(load_tiny(base), RunMethod.model_validate(SETTINGS[method]), "CAUSAL_LM", [])
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model.train()


def losses(model: Any) -> list[float]:
    """Of a few steps, each on other tokens."""
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.05, foreach=False)
    found = []
    for step in range(STEPS):
        torch.manual_seed(step)
        ids = torch.randint(5, 250, (1, 24))
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    return found
