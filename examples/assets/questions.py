"""Pairs for embeddings: questions and their answers, of the same conversations as quiz.py."""

import json
from pathlib import Path

from corpus import conversations
from quiz import TOPICS


def write_questions(folder: Path) -> None:
    """train.jsonl: each question with each of its answers once."""
    pairs = {
        (question, answer)
        for topic, (question, *answers) in conversations()["english"]
        for answer in answers
        if topic in TOPICS and question.strip() and answer.strip() and question.strip() != answer.strip()
    }
    lines = [json.dumps({"anchor": question, "positive": answer}) for question, answer in sorted(pairs)]
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"  train.jsonl: {len(lines)} questions with answers", flush=True)
