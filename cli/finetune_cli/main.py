"""The command line: kubectl finetune COMMAND."""

import argparse
import sys
from collections.abc import Sequence

from finetune_cli import validate


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code."""
    parser = argparse.ArgumentParser("kubectl finetune", description="Checks datasets and FineTuneJobs without a cluster.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    validate.add_to(commands)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
        return code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        return 0
