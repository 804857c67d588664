"""What child_process.py starts: python -m finetune_trainer.stage.apart MODULE ARGUMENT... calls `main` of the module.

Programs of this package export models: transformers need not import bitsandbytes and DeepSpeed for that, which takes seconds.
"""

import sys
from importlib import import_module

from finetune_trainer.distributed.settings import hide_library, loading_libraries


def main(module: str, *arguments: str) -> None:
    """Imports the module as fast as it can be, and calls it."""
    for library in ("bitsandbytes", "deepspeed"):
        hide_library(library)
    with loading_libraries():
        program = import_module(module)
    program.main(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
