"""Task text-embedding: {"anchor": ..., "positive": ...}, maybe with a negative; or two texts with a score of their similarity."""

from collections.abc import Iterator, Mapping

import msgspec

from finetune_trainer.tasks.explain import Problem
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.problem import kind_of, listed, shown, text_problems, unknown_key
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields, Hint, Records
from finetune_trainer.tasks.learner import SCORED, EmbeddingTask
from finetune_trainer.tasks.plain import PlainLines, say_something
from finetune_trainer.tasks.task import Judged, RowLayout

PAIRS = "pairs"
_KEYS = ("anchor", "positive", "negative", "score")
_RANGE = "expected a number from -1 (opposite) to 1 (same meaning)"


class TextPair(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, gc=False):
    """A row."""

    anchor: str
    positive: str
    negative: str | None = None
    score: float | None = None
    """Similarity of anchor and positive, -1 to 1; None: the positive belongs to the anchor, and those of other rows do not."""


class TextEmbeddingTask(EmbeddingTask):
    """Two texts that belong together, or are as similar as their score says. The layout's variant is PAIRS or SCORED."""

    name = "text-embedding"
    title = "anchor/positive"
    fields = _KEYS
    optional = ("negative", "score")
    example = {"anchor": "Where is my parcel?", "positive": "Track your order under My Account."}
    aliases = (
        {"anchor": "sentence1", "positive": "sentence2", "score": "score"},
        {"anchor": "sentence1", "positive": "sentence2", "score": "similarity_score"},
        {"anchor": "sentence1", "positive": "sentence2", "score": "label"},
        {"anchor": "sentence_A", "positive": "sentence_B", "score": "score"},
        {"anchor": "query", "positive": "positive", "negative": "negative"},
        {"anchor": "query", "positive": "positive"},
        {"anchor": "query", "positive": "passage"},
        {"anchor": "query", "positive": "document"},
        {"anchor": "query", "positive": "answer"},
        {"anchor": "question", "positive": "answer"},
        {"anchor": "question", "positive": "context"},
        {"anchor": "sentence1", "positive": "sentence2"},
    )
    signs = {frozenset({"anchor", "positive"}): "pairs of texts for embeddings (anchor and positive)"}
    json_fields = ("score",)
    hints = {
        "anchor": Hint(("anchor", "query", "question", "sentence1", "text1", "title")),
        "positive": Hint(("positive", "passage", "document", "answer", "sentence2", "text2", "body")),
    }

    def judge(self, rows: Records, layout: RowLayout, words: str) -> Judged | None:
        """All rows have a score, or none has."""
        if not rows:
            return None
        scored = any(row.get("score") is not None for row in rows)
        return Judged(SCORED, f"{words}, scored") if scored else Judged(PAIRS, words)

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        called = {key: layout.names.get(key, key) for key in _KEYS}
        for key in fields:
            if layout.extra is not None and key not in _KEYS and key not in layout.extra:
                yield unknown_key(key, key, _KEYS, "a row")
        yield from pair_problems(fields, called)
        yield from score_problems(fields, called, {SCORED: True, PAIRS: False}.get(layout.variant))

    def build(self, fields: Fields, context: Context) -> TextPair:
        score = fields.get("score")
        return TextPair(fields["anchor"], fields["positive"], fields.get("negative"), None if score is None else float(score))

    def plain(self, layout: RowLayout) -> PlainLines | None:
        """Where the first rows do not say whether rows are scored, the thorough look decides."""
        scored = layout.variant == SCORED
        return PlainLines(TextPair, lambda found: found if all_plain(found, scored) else None) if layout.variant else None

    def texts(self, row: TextPair) -> tuple[str, ...]:
        return (row.anchor, row.positive) if row.negative is None else (row.anchor, row.positive, row.negative)

    def score(self, row: TextPair) -> float | None:
        return row.score


def all_plain(found: list[TextPair], scored: bool) -> bool:
    """True for rows that need no closer look."""
    texts = [text for row in found for text in (row.anchor, row.positive, row.negative) if text is not None]
    if not say_something(texts):
        return False
    if scored:
        return all(row.score is not None and -1 <= row.score <= 1 and row.negative is None for row in found)
    parted = (len({row.anchor.strip(), row.positive.strip(), (row.negative or "").strip()}) == 3 for row in found)
    return all(row.score is None for row in found) and all(parted)


def pair_problems(row: Fields, called: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with the texts of a row."""
    anchor, positive, negative = (row.get(key) or "" for key in _KEYS[:3])
    found: list[Problem] = []
    for key in ("anchor", "positive"):
        if key in row:
            found += text_problems(called[key], row[key])
        else:
            expected = f"expected {called['anchor']!r} and {called['positive']!r}"
            found.append(Problem(f"no {called[key]}", f"has no key {called[key]!r}: its keys are {listed(row) or 'none'}, {expected}"))
    if row.get("negative") is not None:
        found += text_problems(called["negative"], row["negative"])
    yield from found
    if found or row.get("score") is not None:
        return
    for key, text in (("positive", positive), ("negative", negative)):
        if text and text.strip() == anchor.strip():
            name = called[key]
            yield Problem(f"{name} equals {called['anchor']}", f"{name} is the same text as {called['anchor']}: there is nothing to learn")
    if negative and negative.strip() == positive.strip():
        name = called["negative"]
        yield Problem(f"{name} equals {called['positive']}", f"{name} is the same text as {called['positive']}: remove one of the two")


def score_problems(row: Fields, called: Mapping[str, str], scored: bool | None) -> Iterator[Problem]:
    """What is wrong with the score, or with having one; `scored` tells what the file's first rows have, None: not known."""
    name, score = called["score"], row.get("score")
    if score is None:
        if scored:
            yield Problem(f"no {name}", f"has no {name!r}, expected one as in the first rows: all rows have a score, or none has")
        return
    if scored is False:
        yield Problem("unexpected score", f"has {name!r}, and the first rows have none: all rows have a score, or none has")
    elif isinstance(score, bool) or not isinstance(score, int | float):
        yield Problem("wrong score", f"{name} is {kind_of(score)}, {_RANGE}")
    elif not -1 <= score <= 1:
        yield Problem("score out of range", f"{name} is {shown(score)}, {_RANGE}; divide scores of another scale by its largest value")
    elif row.get("negative") is not None:
        yield Problem("score and negative", f"has both {name!r} and {called['negative']!r}: a score is for two texts, remove one of them")
