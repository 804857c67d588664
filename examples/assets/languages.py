"""Rows for sequence classification: a sentence and the language it is in."""

import json
import random
from pathlib import Path

from corpus import LANGUAGES, conversations

AT_MOST = 150
"""Sentences of a language."""


def write_languages(folder: Path) -> None:
    """train.jsonl: sentences of at least three words, each once, shuffled."""
    rows = [{"text": text, "label": language} for language in LANGUAGES for text in sentences(language)]
    random.Random(0).shuffle(rows)
    (folder / "train.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"  train.jsonl: {len(rows)} sentences", flush=True)


def sentences(language: str) -> list[str]:
    """The first sentences of a language, without repetitions."""
    texts = (" ".join(turn.split()) for _, turns in conversations()[language] for turn in turns)
    return list(dict.fromkeys(text for text in texts if 3 <= len(text.split()) <= 30))[:AT_MOST]
