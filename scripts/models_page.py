"""Writes docs/models.md out of the table of families (finetune_trainer/families.json).

python scripts/models_page.py --write     docs/models.md
python scripts/models_page.py --check     exits 1 when it differs from what --write would write
"""

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from finetune_trainer.families import Family, families, versions

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
HEADING = """# Models

The base models that can be fine-tuned. A family is the `model_type` in `config.json`. Every family below was tested with a tiny random
model through prepare, train and publish and, if it can be exported, up to a response of the server (`make test-models`).

prepare refuses all other models before any training, with the reason and an alternative. A base model also needs `tokenizer.json` and
unquantized safetensors weights; Python code in the model folder (`auto_map`) is not run.

**ONNX** is required for `export.onnx`. "yes" for a family does not guarantee that each of its models can be exported. Therefore, if
`export.onnx` is set, prepare runs a trial export with a small copy of the model: its config.json with two layers, or one of each kind, a
small width and random weights, and unchanged head size, rotary settings, norms, activations and window attention. Its logits are compared
with PyTorch's. This takes seconds and about 1 GiB of memory on the CPU, and no GPU. `kubectl finetune validate` runs the trial export if
torch is installed.
"""
LANGUAGE = """## Language models

For the tasks chat, completion and summarization. For mixture-of-experts models, LoRA adapts the linear layers, but not the experts, and
QLoRA leaves the experts unquantized; IA3 leaves them as they are. **TP** is `training.strategy.type: tensor-parallel` with LoRA and full
fine-tuning: two processes must have the losses and the gradients of one.
"""
ENCODERS = "## Encoders\n\nFor sequence-classification, token-classification and text-embedding.\n"
REFUSED = "## Unsupported models\n"
HOW = "(`python -m tests.models.measure --write` repeats the measurement.)"


def page() -> str:
    """The page's text."""
    parts = [HEADING, measured_with(), LANGUAGE, *usable("language"), ENCODERS, *usable("encoder"), REFUSED, *refused()]
    return "\n".join(parts)


def measured_with() -> str:
    """Versions of what was measured."""
    return f"Measured with {', '.join(f'{name} {version}' for name, version in versions().items())}. {HOW}\n"


def usable(kind: str) -> Iterator[str]:
    """A table of the families that can be trained, and notes on what does not work with them."""
    chosen = [family for family in families().values() if family.kind == kind and family.trainable]
    notes: dict[str, int] = {}
    divided = kind == "language"
    yield f"| model type | class | LoRA | QLoRA | IA3 | full | {'TP | ' * divided}ONNX |\n|---|---|---|---|---|---|---|{'---|' * divided}"
    for family in chosen:
        adapters = [family.lora, family.lora or family.qlora, family.lora or family.ia3]
        reasons = [*adapters, family.full, *[family.tensor_parallel] * divided, family.onnx]
        marks = [mark(reason, notes) for reason in reasons]
        yield f"| {family.model_type} | {family.name}{'...' if kind == 'encoder' else ''} | {' | '.join(marks)} |"
    yield ""
    yield from (f"{number}. {reason}" for reason, number in notes.items())
    yield ""


def mark(reason: str, notes: dict[str, int]) -> str:
    """yes, or no with the number of its note."""
    return f"no ({notes.setdefault(reason, len(notes) + 1)})" if reason else "yes"


def refused() -> Iterator[str]:
    """Reasons, each with the families that it holds for."""
    reasons = sorted((why(family), family.model_type) for family in families().values() if not family.trainable)
    for reason, members in itertools.groupby(reasons, key=lambda pair: pair[0]):
        yield f"- {reason}: {listed(name for _, name in members)}"
    yield ""


def why(family: Family) -> str:
    """The one reason."""
    return family.unfit or family.full


def listed(names: Iterable[str]) -> str:
    """Comma-separated."""
    return ", ".join(names)


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", action="store_true")
    group.add_argument("--check", action="store_true")
    if parser.parse_args().write:
        PAGE.write_text(page())
        return 0
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    print(f"{PAGE.name} is not what the table of families makes it: run make models")
    return 1


if __name__ == "__main__":
    sys.exit(main())
