"""Task token-classification: {"tokens": [...], "tags": [...]}, a tag for each word."""

from collections.abc import Iterator
from typing import Any

import msgspec

from finetune_trainer.tasks.explain import Problem
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.tags import PREFIXES, bio_problems, tag_problems, tag_texts
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields, Hint, Records, is_words
from finetune_trainer.tasks.learner import TokenTask
from finetune_trainer.tasks.plain import PlainLines, say_something
from finetune_trainer.tasks.task import Judged, RowLayout

BIO = "BIO"
NO_PREFIXES = "tags have no prefixes B- and I-, so each is taken as it is and none is checked against its neighbours"


class TokenTags(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A row."""

    tokens: list[str]
    tags: list[str | None]
    """None: nothing is learned at this token, as -100 says in files that were made for a trainer."""


class _Tagged(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As files have it."""

    tokens: list[str]
    tags: list[str | int]


class TokenClassificationTask(TokenTask):
    """Words with their tags. The layout's variant is BIO where the first rows have such tags."""

    name = "token-classification"
    title = "tokens/tags"
    fields = ("tokens", "tags")
    example = {"tokens": ["Maria", "lives", "in", "Rome"], "tags": ["B-PER", "O", "O", "B-LOC"]}
    aliases = ({"tokens": "tokens", "tags": "ner_tags"}, {"tokens": "words", "tags": "ner_tags"})
    signs = {
        frozenset({"tokens", "tags"}): "rows of tokens and tags",
        frozenset({"tokens", "ner_tags"}): "rows of tokens and tags",
    }
    json_fields = ("tokens", "tags")
    hints = {
        "tokens": Hint(("tokens", "words"), "a list of words", is_words),
        "tags": Hint(("tags", "ner_tags", "labels", "ner", "pos_tags"), "a list of tags", is_words),
    }

    def judge(self, rows: Records, layout: RowLayout, words: str) -> Judged | None:
        """Tags of entities, or others."""
        tags = [tag for row in rows if isinstance(row.get("tags"), list) for tag in row["tags"] if isinstance(tag, str)]
        if any(tag[:2] in PREFIXES for tag in tags) or set(tags) == {"O"}:
            return Judged(BIO, f"{words} (BIO)")
        return Judged("", words, (NO_PREFIXES,)) if rows else None

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        return tag_problems(fields, layout.variant == BIO, layout.extra, layout.names)

    def build(self, fields: Fields, context: Context) -> TokenTags:
        return TokenTags(list(fields["tokens"]), tag_texts(fields["tags"]))

    def plain(self, layout: RowLayout) -> PlainLines:
        return PlainLines(_Tagged, lambda found: _tagged(found, layout.variant == BIO))

    def input(self, row: TokenTags) -> list[str]:
        return row.tokens

    def tags(self, row: TokenTags) -> list[str | None]:
        return row.tags


def _tagged(found: list[Any], bio: bool) -> list[TokenTags] | None:
    rows = [TokenTags(row.tokens, tag_texts(row.tags)) for row in found]
    if any(not row.tokens or len(row.tokens) != len(row.tags) or not any(row.tags) for row in rows):
        return None
    if not say_something([token for row in rows for token in row.tokens]):
        return None
    if not say_something([tag for row in rows for tag in row.tags if tag is not None]):
        return None
    return None if bio and any(next(bio_problems("", row.tags), None) for row in rows) else rows
