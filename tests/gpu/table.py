"""The table of a run of the GPU tests, as JSON for programs and as markdown for docs/gpu.md. Knows no torch."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

Figures = dict[str, float | str]
NOT_BUILT = {
    "variable-length attention": "packed rows use an attention mask of tokens x tokens, which synchronizes with the GPU",
    "chunked loss": "logits of all supervised positions are in memory at once",
    "fused LoRA": "PEFT's layers compute the adapters",
    "Triton in the image": "the image has no C compiler, and nothing in it uses Triton",
    "checkpoints written beside the training": "a checkpoint is complete before the next step begins",
}
"""What the trainer does not have, and what is therefore not tested. Remove a line with the commit that builds it and adds its test."""


@dataclass(frozen=True)
class Row:
    """What came of a test."""

    test: str
    outcome: str
    """passed, failed or skipped."""
    reason: str = ""
    """Why it was skipped."""
    figures: Figures = field(default_factory=dict)


@dataclass
class Table:
    """All tests of a run."""

    machine: dict[str, str]
    rows: list[Row] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """table.json and table.md."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"machine": self.machine, "tests": [asdict(row) for row in self.rows], "notBuilt": NOT_BUILT}
        (folder / "table.json").write_text(json.dumps(content, indent=2) + "\n")
        (folder / "table.md").write_text(self.markdown() + "\n")

    def markdown(self) -> str:
        """The machine, a line for each test, and what is not tested."""
        lines = [", ".join(f"{name}: {value}" for name, value in self.machine.items()), "", "| test | result | measured |", "|---|---|---|"]
        lines += [f"| {cell(row.test)} | {row.outcome} | {cell(measured(row))} |" for row in self.rows]
        return "\n".join([*lines, *(f"| {name} | not built | {cell(why)} |" for name, why in NOT_BUILT.items())])


def measured(row: Row) -> str:
    """The figures of a test, or why there are none."""
    return row.reason or ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in row.figures.items())


def shown(value: float | str) -> str:
    """With four digits that count."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def cell(text: str) -> str:
    """Text that does not end a cell of a markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
