"""Completion rows as a spreadsheet has them: the columns topic, question and answer. The example's template makes prompts of them."""

import csv
from pathlib import Path

from corpus import conversations

TOPICS = ("computers", "food", "health", "history", "literature", "money", "science", "sports", "trivia")


def write_quiz(folder: Path) -> None:
    """train.csv: each question once."""
    rows: dict[str, tuple[str, str, str]] = {}
    for topic, (question, *answers) in conversations()["english"]:
        if topic in TOPICS and question and answers and answers[0]:
            rows.setdefault(question.lower(), (topic, question, answers[0]))
    with open(folder / "train.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("topic", "question", "answer"), *rows.values()])
    print(f"  train.csv: {len(rows)} questions", flush=True)
