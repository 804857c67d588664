"""Environment variables for libraries that compute: set before they are loaded, because they read them once. No torch.

Nothing here was measured on a GPU; the sources are the libraries' documentation and issues.
"""

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LIBRARIES = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",  # micro-batches differ in length, which fragments fixed segments
    "TORCH_CUDNN_SDPA_DEPRIORITIZED": "1",  # cuDNN attention builds a plan for every new shape, about a second each
    "NCCL_CUMEM_HOST_ENABLE": "0",  # needs mbind, which the RuntimeDefault seccomp profile blocks (nccl issue 2190)
}


def library_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to set; what `environment` has already stays as it is."""
    return {name: environment.get(name) or value for name, value in LIBRARIES.items()}


def hide_library(name: str) -> None:
    """Makes an installed library appear absent to this process, unless it is imported already."""
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # how importlib marks a module that must not be imported


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Hides libraries that are not imported yet, until the block ends."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        hide_library(name)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def loading_libraries() -> Iterator[None]:
    """Around the import of torch and transformers: they make 500,000 objects that stay, and looking for garbage among them takes an eighth
    of the time of the import."""
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
