"""One rank as a process: python -m finetune_trainer.train.worker EXCHANGE-FOLDER, started by the launcher.

It dies with its launcher, and it hears SIGTERM from its first line on: the imports that follow take many seconds.
"""

import ctypes
import os
import signal
import sys

from finetune_trainer.train.launch.heartbeat import LAUNCHER_PID

PR_SET_PDEATHSIG = 1
WITHOUT_DEEPSPEED = ("auto", "ddp", "fsdp")
"""Strategies of a run config; one that an installed package adds may need it."""
stop_asked = False


def main(folder: str) -> None:
    """Runs the rank and ends the process at once: threads that libraries left must not hold it."""
    die_with_launcher()
    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everybody; the launcher passes it on
    hide_unused_libraries(folder)
    from finetune_trainer.distributed.settings import loading_libraries

    with loading_libraries():
        from finetune_trainer.train.rank import run_rank

    code = run_rank(folder, lambda: stop_asked)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def hide_unused_libraries(folder: str) -> None:
    """transformers and PEFT import bitsandbytes and DeepSpeed wherever they are installed, which takes seconds."""
    from finetune_trainer.distributed.settings import hide_library
    from finetune_trainer.methods import method_of
    from finetune_trainer.optimizers import optimizer_of
    from finetune_trainer.train.launch.exchange import Exchange

    config = Exchange(folder).assignment().config
    if not method_of(config).quantized and not optimizer_of(config.hyperparameters.optimizer).needs_bitsandbytes:
        hide_library("bitsandbytes")
    if config.strategy.type in WITHOUT_DEEPSPEED:
        hide_library("deepspeed")


def ask_to_stop(*_: object) -> None:
    """SIGTERM: the ranks agree on it at the end of the step."""
    global stop_asked
    stop_asked = True


def die_with_launcher() -> None:
    """Asks the kernel to kill this process when the launcher is gone, however that went."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ.get(LAUNCHER_PID, os.getppid())):  # it went before we asked
        os._exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
