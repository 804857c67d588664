"""Pairs of answers in OpenAI's preference form: the answer to a question of chatterbot-corpus is preferred to an evasive one."""

import json
from itertools import cycle
from pathlib import Path

from corpus import conversations
from quiz import TOPICS

EVASIONS = ("I don't know.", "Why do you ask?", "Look it up yourself.", "That is not my concern.", "Who cares?")


def answers() -> dict[str, str]:
    """Of each question."""
    found: dict[str, str] = {}
    for topic, (question, *said) in conversations()["english"]:
        if topic in TOPICS and question and said and said[0]:
            found.setdefault(question, said[0])
    return found


def write_preferences(folder: Path) -> None:
    """train.jsonl: each question once."""
    rows = [
        {
            "input": {"messages": [{"role": "user", "content": question}]},
            "preferred_output": [{"role": "assistant", "content": answer}],
            "non_preferred_output": [{"role": "assistant", "content": evasion}],
        }
        for (question, answer), evasion in zip(answers().items(), cycle(EVASIONS), strict=False)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"  train.jsonl: {len(rows)} pairs", flush=True)
