"""Rows for token classification: orders with the person, the place, the quantity and the product marked as in BIO."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

ROWS = 400
FRAMES = (
    "Please send {QTY} {PRODUCT} to {PER} in {LOC} .",
    "{PER} from {LOC} would like {QTY} {PRODUCT} .",
    "Can you ship {QTY} {PRODUCT} to {LOC} by Friday ?",
    "Cancel the order of {PER} , please .",
    "The {PRODUCT} that {PER} ordered never arrived in {LOC} .",
    "We need {QTY} {PRODUCT} and {QTY} {PRODUCT} for our office in {LOC} .",
    "{PER} : where is my parcel with the {PRODUCT} ?",
    "Thank you , everything has arrived .",
)
WORDS = {
    "PER": (
        "Maria Keller",
        "John Smith",
        "Ana Lopez",
        "Wei Chen",
        "Fatima Khan",
        "Olga Petrova",
        "Lars Nilsson",
        "Amara Okafor",
        "Kenji Sato",
    ),
    "LOC": ("Hamburg", "New York", "Lyon", "Sao Paulo", "Oslo", "Cape Town", "Kyoto", "Buenos Aires", "Porto"),
    "QTY": ("3", "a dozen", "twelve", "two boxes of", "40", "one"),
    "PRODUCT": ("blue jackets", "desk lamps", "coffee", "running shoes", "notebooks", "garden chairs", "tea cups", "batteries"),
}


def write_order_entities(folder: Path) -> None:
    """train.jsonl: different orders."""
    chance, rows = random.Random(0), dict[str, list[str]]()
    while len(rows) < ROWS:
        tokens, tags = zip(*order(chance), strict=True)
        rows[" ".join(tokens)] = list(tags)
    lines = (json.dumps({"tokens": text.split(" "), "tags": tags}) + "\n" for text, tags in rows.items())
    (folder / "train.jsonl").write_text("".join(lines))
    print(f"  train.jsonl: {len(rows)} orders", flush=True)


def order(chance: random.Random) -> Iterator[tuple[str, str]]:
    """One order: each word with its tag. A number in front makes even a fixed sentence a different one."""
    yield from ((word, "O") for word in ("Order", f"#{chance.randrange(1000, 9999)}", ":"))
    for piece in chance.choice(FRAMES).split():
        kind = piece.strip("{}")
        if kind not in WORDS:
            yield piece, "O"
            continue
        for place, word in enumerate(chance.choice(WORDS[kind]).split()):
            yield word, f"{'I' if place else 'B'}-{kind}"
