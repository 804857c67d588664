"""Rated answers, as users leave them with thumbs up and down: the answers of preferences/, one a row."""

import json
from itertools import cycle
from pathlib import Path

from preferences import EVASIONS, answers


def write_feedback(folder: Path) -> None:
    """train.jsonl: each question with its answer, and every second one with an evasive answer as well."""
    rows = []
    for number, ((question, answer), evasion) in enumerate(zip(answers().items(), cycle(EVASIONS), strict=False)):
        rows.append(rated(question, answer, desirable=True))
        if number % 2:
            rows.append(rated(question, evasion, desirable=False))
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"  train.jsonl: {len(rows)} rated answers", flush=True)


def rated(question: str, answer: str, *, desirable: bool) -> dict[str, object]:
    """A row."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], "label": desirable}
