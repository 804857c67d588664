"""Starts this node's ranks and watches over them; the train stage's first process (PID 1 of its container).

A few hundred milliseconds of plain Python, on purpose: torch's elastic agent would import torch here, wait up to five
minutes for the other nodes after a success, and hang forever if a peer disappears before the process group exists.
The ranks find each other as torch.distributed's "env://" says: rank 0 listens at the master's address.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.tracking import TRACKER_ENV_PREFIX
from finetune_trainer.distributed.network import free_port
from finetune_trainer.distributed.settings import library_settings
from finetune_trainer.failure import StageFailure
from finetune_trainer.stage import interruption
from finetune_trainer.stage.activity import doings
from finetune_trainer.stage.cores import thread_settings
from finetune_trainer.train.launch.exchange import Assignment, Exchange
from finetune_trainer.train.launch.heartbeat import LAUNCHER_PID, phase_of, read_beat
from finetune_trainer.train.launch.outcome import Exit, outcome
from finetune_trainer.train.launch.peers import Peers
from finetune_trainer.train.launch.watchdog import Watchdog, rank_before_meeting
from finetune_trainer.workspace.workspace import Workspace

POLL = 0.2
SHUTDOWN_TIMEOUT = 120.0
"""Seconds for the other ranks after one ended as it should."""
FAILURE_GRACE = 10.0
"""Seconds for the other ranks after one failed: time for their own words, which may tell the cause."""
KILL_PATIENCE = 5.0
"""Seconds for the kernel to end a rank: one that is stuck in a driver or on a volume stays until the container goes."""


class Launcher:
    """This node's ranks, from start to end."""

    def __init__(self, assignment: Assignment, node_rank: int, host: str, port: int) -> None:
        config = assignment.config
        self._assignment = assignment
        self._config = config
        self._attempt = assignment.attempt
        self._count = config.world.processes_per_node
        self._first = node_rank * self._count
        self._size = config.world.nodes * self._count
        self._endpoint = (host, port) if config.world.nodes > 1 else ("127.0.0.1", free_port())
        self._peers = Peers(node_rank, host, port) if config.world.nodes > 1 else None
        self._ranks: dict[int, subprocess.Popen[bytes]] = {}
        self._exits: list[Exit] = []
        self._term_asked = interruption.asked()
        self._term_sent = False

    def run(self) -> None:
        """Returns when all ranks succeeded; raises StageFailure with what ended them."""
        with tempfile.TemporaryDirectory(prefix="finetune-train-") as folder, self._signals():
            self._exchange = Exchange(folder)
            self._exchange.write_assignment(self._assignment)
            if self._peers is not None:
                self._peers.open()
            try:
                self._start()
                self._watch()
            except BaseException:
                self._announce_failure()
                raise
            finally:
                self._kill()
                if self._peers is not None:
                    self._peers.close()
            self._conclude()

    def _start(self) -> None:
        command = [sys.executable, "-m", "finetune_trainer.train.worker", str(self._exchange.folder)]
        for local_rank in range(self._count):
            rank = self._first + local_rank
            environment = inherited(os.environ, rank) | self._environment(rank, local_rank)
            self._ranks[rank] = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def _environment(self, rank: int, local_rank: int) -> dict[str, str]:
        common = {
            **thread_settings(os.environ, self._count),
            **library_settings(os.environ),
            LAUNCHER_PID: str(os.getpid()),
        }
        if self._size == 1:
            return common
        host, port = self._endpoint
        return common | {
            "RANK": str(rank),
            "WORLD_SIZE": str(self._size),
            "LOCAL_RANK": str(local_rank),
            "LOCAL_WORLD_SIZE": str(self._count),
            "MASTER_ADDR": host,
            "MASTER_PORT": str(port),
        }

    def _watch(self) -> None:
        """Until every rank has ended, or those that are left have had their time."""
        watchdog = Watchdog(self._config.limits, self._meeting(), time.monotonic())
        end = float("inf")
        while self._running():
            time.sleep(POLL)
            now = time.monotonic()
            for exit in self._new_exits():
                orderly = exit.code in (ExitCode.OK, ExitCode.PREEMPTED)
                end = min(end, now + (SHUTDOWN_TIMEOUT if orderly else FAILURE_GRACE))
                if not orderly:
                    self._announce_failure()
            beats = {rank: read_beat(self._exchange.heartbeat(rank)) for rank in self._running()}
            alone = phase_of(beats.get(0, "")) == "writing"  # rank 0 has gathered the weights and writes the model
            gone = self._peers.gone if self._peers is not None else None
            if gone is not None and not alone:
                end = min(end, now + FAILURE_GRACE)
            if now >= end:
                if gone is not None and not self._exits:
                    raise gone.failure()
                return
            if self._term_asked and not self._term_sent:
                self._pass_on_sigterm(beats)
                watchdog.term_sent(now)
            if beats and (failure := watchdog.look(beats, self._moved(beats), now)) is not None:
                raise failure

    def _announce_failure(self) -> None:
        """The ranks of other nodes may wait for this node's where they hear nothing: their launchers end them."""
        if self._peers is not None:
            self._peers.announce_failure()

    def _running(self) -> list[int]:
        ended = {exit.rank for exit in self._exits}
        return [rank for rank in self._ranks if rank not in ended]

    def _new_exits(self) -> list[Exit]:
        new = [Exit(rank, code) for rank in self._running() if (code := self._ranks[rank].poll()) is not None]
        self._exits += new
        return new

    def _meeting(self) -> str:
        host, port = self._endpoint
        return f"all of the {self._size} ranks at {host}:{port}"

    def _pass_on_sigterm(self, beats: dict[int, str]) -> None:
        self._term_sent = True
        if rank_before_meeting(beats) is not None:
            # Such a rank may wait in C++ and hear nothing; there is nothing to save either.
            raise StageFailure(ExitCode.PREEMPTED, "Preempted", "stopped by SIGTERM before all ranks had connected")
        for rank in self._running():
            self._ranks[rank].send_signal(signal.SIGTERM)

    def _moved(self, beats: dict[int, str]) -> object:
        """What changes while a library works that gives no beat: what is written, and what a rank does that loads the base."""
        loading = {rank: doings(self._ranks[rank].pid) for rank, beat in beats.items() if phase_of(beat) == "loading"}
        return self._written(beats), loading

    def _written(self, beats: dict[int, str]) -> int:
        """Bytes of a checkpoint or of the trained weights while they are written: what grows gets on."""
        if not any(phase_of(beat) in ("saving", "finishing", "writing") for beat in beats.values()):
            return 0
        workspace = Workspace(self._config.paths.workspace)
        return size_of(workspace.attempt_checkpoints(self._attempt)) + size_of(workspace.trained)

    def _kill(self) -> None:
        """Ends what still runs; those exits are ours and say nothing."""
        self._new_exits()
        for rank in self._running():
            self._ranks[rank].kill()
        end = time.monotonic() + KILL_PATIENCE
        for process in self._ranks.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0, end - time.monotonic()))

    def _conclude(self) -> None:
        failures = {rank: said for rank in self._ranks if (said := self._exchange.failure(rank)) is not None}
        failure = outcome(self._exits, failures, terminated=self._term_sent, processes=self._size)
        if failure is not None:
            raise failure

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT are noted and passed on, once."""

        def note(*_: object) -> None:
            self._term_asked = True

        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def inherited(environment: Mapping[str, str], rank: int) -> dict[str, str]:
    """Without the trackers' credentials, which only rank 0 uses."""
    secret = tuple(TRACKER_ENV_PREFIX.values())
    return {name: value for name, value in environment.items() if rank == 0 or not name.startswith(secret)}


def size_of(folder: Path) -> int:
    """Bytes below a folder that others are writing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # gone in the meantime
            continue
    return total
