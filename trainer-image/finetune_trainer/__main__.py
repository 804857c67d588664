"""Command line: python -m finetune_trainer prepare|train|publish --run run.json, and inspect --model-dir DIR."""

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from finetune_trainer.stage.interruption import Stopped, listening

if TYPE_CHECKING:
    from finetune_api.run_config import RunConfig


def main(argv: list[str] | None = None) -> int:
    """Runs one stage and returns its exit code."""
    try:
        with listening():
            return run_explained(argv)
    except Stopped:
        return interrupted()


def run_explained(argv: list[str] | None) -> int:
    """Tells what goes wrong before a stage can tell it itself."""
    arguments = parser().parse_args(argv)
    from finetune_trainer.failure import StageFailure

    try:
        return run(arguments)
    except StageFailure as failure:
        print(f"{arguments.stage}: {failure}", file=sys.stderr)
        return failure.exit_code


def interrupted() -> int:
    """SIGTERM outside of a stage's own frame: there is nothing to write."""
    from finetune_trainer.failure import explain

    failure = explain(Stopped())
    print(failure, file=sys.stderr)
    return failure.exit_code


def parser() -> argparse.ArgumentParser:
    """The options of all stages."""
    parser = argparse.ArgumentParser(prog="python -m finetune_trainer", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name in ("prepare", "train", "publish"):
        stage = stages.add_parser(name)
        stage.add_argument("--run", required=True, metavar="FILE", help="the run config")
        stage.add_argument("--attempt", type=int, default=1, help="number of this attempt (default 1)")
        if name == "train":
            stage.add_argument("--node-rank", type=int, default=0, help="index of this pod among the job's nodes")
            stage.add_argument("--master", default="127.0.0.1:29400", metavar="HOST:PORT", help="where rank 0 listens")
    inspect = stages.add_parser("inspect")
    inspect.add_argument("--model-dir", required=True, metavar="DIR", help="the model directory to verify")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Imports only what the stage needs: prepare and inspect start without torch."""
    if arguments.stage == "inspect":
        from finetune_trainer.inspect.main import inspect_model

        return inspect_model(arguments.model_dir)
    from finetune_trainer.stage.log_file import kept_log
    from finetune_trainer.stage.stage import load_run_config
    from finetune_trainer.workspace.workspace import Workspace

    config = load_run_config(arguments.run)
    part = f"node-{arguments.node_rank}" if getattr(arguments, "node_rank", 0) else ""
    with kept_log(Workspace(config.paths.workspace).log(arguments.stage, arguments.attempt, part)):
        return run_in_workspace(arguments, config)


def run_in_workspace(arguments: argparse.Namespace, config: "RunConfig") -> int:
    """One of the stages of a job."""
    from finetune_trainer.stage.stage import run_stage
    from finetune_trainer.workspace.workspace import Workspace

    if arguments.stage == "prepare":
        from finetune_trainer.prepare.main import prepare
        from finetune_trainer.workspace.handover import prepared_damage

        lost = partial(prepared_damage, config, Workspace(config.paths.workspace))
        return run_stage("prepare", config, arguments.attempt, lambda: prepare(config, arguments.attempt), lost)
    if arguments.stage == "train":
        from finetune_api.run_config import HALVE_VARIABLE
        from finetune_trainer.train.launch.exchange import Assignment
        from finetune_trainer.train.main import train

        assignment = Assignment(config=config, attempt=arguments.attempt, halved=os.environ.get(HALVE_VARIABLE) == "1")
        return train(assignment, arguments.node_rank, arguments.master)
    from finetune_trainer.distributed.settings import hide_library
    from finetune_trainer.publish.main import publish

    for library in ("bitsandbytes", "deepspeed"):  # adapters are merged into the unquantized base; the imports take seconds
        hide_library(library)
    return run_stage("publish", config, arguments.attempt, lambda: publish(config, arguments.attempt))


if __name__ == "__main__":
    sys.exit(main())
