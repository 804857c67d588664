"""The processes that train together, and how they agree. Knows no model.

What is agreed travels over gloo, also on GPUs: it needs no synchronisation with the device, and a dead peer breaks the
connection at once.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from finetune_api.exit_codes import ExitCode
from finetune_trainer.distributed.device import choose_device
from finetune_trainer.distributed.network import interface_towards, wait_for_name
from finetune_trainer.failure import StageFailure

T = TypeVar("T")
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""By type of device."""
AFTER_STALL = 120.0
"""Seconds by which an operation outlasts limits.stallTimeout: the launcher must end a rank that is stuck in NCCL with STALLED, before
NCCL aborts it for a reason that looks like a lost peer."""


@dataclass(frozen=True)
class World:
    """This rank's place among `size` ranks."""

    rank: int
    size: int
    device: torch.device
    local_rank: int = 0
    model_parallel: int = 1
    """Consecutive ranks that compute the same micro-batches together, each with a part of every layer."""

    @property
    def data_size(self) -> int:
        """Shares that the micro-batches of a step are divided into."""
        return self.size // self.model_parallel

    @property
    def data_rank(self) -> int:
        """This rank's share of them."""
        return self.rank // self.model_parallel

    @property
    def is_first(self) -> bool:
        """True on the rank that writes what is common and speaks for all."""
        return self.rank == 0

    @property
    def is_first_of_node(self) -> bool:
        """True on one rank of each node: what a node sees of a volume, all of its ranks see."""
        return self.local_rank == 0

    def any(self, *flags: bool) -> list[bool]:
        """Each flag: is it true on any rank? Every rank must call it at the same place."""
        if self.size == 1:
            return list(flags)
        votes = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return [bool(vote) for vote in votes]

    def from_first(self, *numbers: int) -> list[int]:
        """Rank 0's numbers, on every rank."""
        if self.size == 1:
            return list(numbers)
        shared = torch.tensor(numbers, dtype=torch.int64)
        dist.broadcast(shared, src=0)
        return [int(number) for number in shared]

    def gather(self, value: T) -> list[T]:
        """Every rank's value (it is pickled), by rank, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def gather_shares(self, value: T) -> list[T]:
        """As gather, but one value of each share of the micro-batches: for what would else be counted several times."""
        return self.gather(value)[:: self.model_parallel]

    def together(self, action: Callable[[], object]) -> None:
        """Runs `action` on this rank and returns when all ranks have run theirs.

        A failure on any rank ends it on all: with its own exception there, and with PEER_LOST elsewhere, so that no rank
        waits for one that is gone.
        """
        failure: Exception | None = None
        try:
            action()
        except Exception as exc:
            failure = exc
        (failed,) = self.any(failure is not None)
        if failure is not None:
            raise failure
        if failed:
            raise StageFailure(ExitCode.PEER_LOST, "PeerFailed", "another rank failed; its own message says why")

    def form_group(self) -> None:
        """Makes the process group of a world of one, which has none, for what works on process groups only."""
        if not dist.is_initialized():
            store = dist.HashStore()  # type: ignore[attr-defined]
            dist.init_process_group(BACKENDS[self.device.type], store=store, rank=0, world_size=1)

    def leave(self) -> None:
        """Gives the connections back; what still goes wrong then does not matter any more."""
        if dist.is_initialized():
            dist.destroy_process_group()


def join(start_deadline: float, stall_timeout: float) -> World:
    """Meets the other ranks, as the launcher's environment says. Times are in seconds. Raises what choose_device does.

    It may wait in C++, where no Python signal handler runs: the launcher enforces the deadline from outside.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = choose_device(local_rank)
    if size > 1:
        host = os.environ["MASTER_ADDR"]
        wait_for_name(host, time.monotonic() + start_deadline)
        if interface := interface_towards(host):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        backend = BACKENDS[device.type]
        # With a device NCCL connects at once, so that its errors fall within startDeadline and not into the first step.
        bound = device if device.type == "cuda" else None
        dist.init_process_group(backend, timeout=timedelta(seconds=max(start_deadline, stall_timeout) + AFTER_STALL), device_id=bound)
    return World(rank=int(os.environ.get("RANK", "0")), size=size, device=device, local_rank=local_rank)
