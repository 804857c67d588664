"""Chat rows: short dialogues between two people."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from folders import package_folder

DIALOGUES_PACKAGE = "chitchat-dataset==0.9.0"
TRAIN_ROWS = 400
VALIDATION_ROWS = 60
UNWANTED = re.compile(r"https?:|www\.|@|\d{4}|\b(?:fuck|shit|bitch|sex|porn|nigg|damn|ass\b|rape|kill|suicid|dick\b)", re.IGNORECASE)


def write_dialogues(folder: Path) -> None:
    """The same rows on every machine: the first that fit, in the order of their ids."""
    with tempfile.TemporaryDirectory() as temporary:
        source = package_folder(DIALOGUES_PACKAGE, Path(temporary))
        dialogues = json.loads((source / "dataset.json").read_bytes())
    rows = [chat for key in sorted(dialogues) if (chat := chat_row(dialogues[key]["messages"])) is not None]
    validation, train = rows[:VALIDATION_ROWS], rows[VALIDATION_ROWS : VALIDATION_ROWS + TRAIN_ROWS]
    for name, chosen in (("train", train), ("validation", validation)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen))
        print(f"  {name}.jsonl: {len(chosen)} dialogues", flush=True)


def chat_row(turns: list[list[dict[str, str]]]) -> dict[str, Any] | None:
    """A dialogue's beginning as a chat row that ends with the assistant, or None for one that is no use."""
    texts = list(beginning([" ".join(part["text"].strip() for part in turn).strip() for turn in turns]))
    texts = texts[: len(texts) // 2 * 2]
    joined = " ".join(texts)
    words = joined.lower().split()
    sensible = joined.isascii() and not UNWANTED.search(joined) and len(set(words)) > len(words) / 2
    if len(texts) < 4 or len(joined) < 180 or not sensible:
        return None
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]}


def beginning(texts: list[str]) -> Iterator[str]:
    """The first turns, at most 6 of them and 460 characters in all."""
    total = 0
    for text in texts[:6]:
        total += len(text)
        if not text or total > 460:
            return
        yield text
