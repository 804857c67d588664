"""Measures which families work, and writes the table: `python -m tests.models.measure [--write] [MODEL_TYPE ...]`.

Prints a line a family. With --write, families.json gets what was found; a reason that a line already has for what does not work is kept,
so that words can be mended by hand. Minutes for all of them.
"""

import argparse
import json
import logging
import os
import tempfile
import time
import warnings
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
import transformers

from finetune_trainer import families as table
from finetune_trainer.families import Family, families, to_row
from tests.models.divided import PAIR
from tests.models.measured import every_family, measure

PATH = Path(table.__file__).with_name(table.FILE)
PACKAGES = ("transformers", "peft", "torch", "onnxruntime-genai", "onnxruntime")


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("model_types", nargs="*", help="left out: all")
    chosen = parser.parse_args()
    quieten()
    for family in every_family():
        if not chosen.model_types or family.model_type in chosen.model_types:
            began = time.monotonic()
            found = measured_here(family)
            print(json.dumps(to_row(found), ensure_ascii=False), f"{time.monotonic() - began:.1f} s", flush=True)
            if chosen.write:
                keep(found)
    PAIR.end()


def quieten() -> None:
    """For steps this small threads only wait for each other, and the libraries say much."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity(logging.CRITICAL)
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def measured_here(family: Family) -> Family:
    """In a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(family, Path(folder))


def keep(found: Family) -> None:
    """Writes one family into the table."""
    rows = families()
    before = rows.get(found.model_type)
    if before is not None:
        kept = {
            name: getattr(before, name)
            for name in ("lora", "qlora", "ia3", "full", "tensor_parallel", "onnx")
            if getattr(found, name) and getattr(before, name)
        }
        found = replace(found, **kept)
    rows[found.model_type] = found
    write(rows)


def write(rows: dict[str, Family]) -> None:
    """A line a family, sorted."""
    lines = ",\n".join("    " + json.dumps(to_row(rows[name]), ensure_ascii=False) for name in sorted(rows))
    versions = json.dumps({package: version(package) for package in PACKAGES})
    PATH.write_text(f'{{\n  "versions": {versions},\n  "families": [\n{lines}\n  ]\n}}\n')


if __name__ == "__main__":
    main()
