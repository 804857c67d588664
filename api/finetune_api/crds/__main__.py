"""Writes the CustomResourceDefinitions and their reference: `make crds`.

python -m finetune_api.crds --write     crds/, the chart's copy and docs/reference.md below the current folder
python -m finetune_api.crds --check     exits 1 and names the files that differ from what --write would write
"""

import argparse
import sys
from pathlib import Path

from finetune_api.crds.definitions import stale, write


def main() -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m finetune_api.crds", description="Generate CRDs and their reference.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the files")
    action.add_argument("--check", action="store_true", help="fail when a file differs")
    if parser.parse_args().write:
        write(Path.cwd())
        return 0
    different = stale(Path.cwd())
    for path in different:
        print(f"{path} is not what the models say: run `make crds` and commit the result", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
