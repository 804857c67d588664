"""Task token-classification: {"tokens": [...], "tags": [...]}, a tag for each word.

Where the first rows have tags like B-PER and I-PER, all tags must be in that form: O, or a prefix and the entity. I-X (in BIOES and
BILOU also E-X and L-X, which are taken as they are) goes on with an entity, so B-X or I-X must come before it. Other tags (NOUN, VERB)
have no order.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from finetune_text.tags import BEGINNING, ENDING
from finetune_trainer.tasks.explain import Problem
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.problem import character_problems, kind_of, listed, shown, unknown_key
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields, Hint, Records, is_words
from finetune_trainer.tasks.learner import TokenTask
from finetune_trainer.tasks.plain import PlainLines, say_something
from finetune_trainer.tasks.sequence_classification import label_text
from finetune_trainer.tasks.task import Judged, RowLayout

BIO = "BIO"
_KEYS = ("tokens", "tags")
PREFIXES = tuple(f"{prefix}-" for prefix in ("I", *BEGINNING, *ENDING))
INSIDE = ("I-", "E-", "L-")
IGNORED = (-100, "-100")
"""What PyTorch's losses ignore: a token of which nothing is learned, not a class."""
_IGNORE = re.compile(r"\W*(ignored?|ign|pad|none|null|x|-?\d+)\W*", re.IGNORECASE)
"""Tags that may be meant so."""
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
    fields = _KEYS
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


def tag_problems(
    row: dict[str, Any], bio: bool, extra: Collection[str] | None = (), names: Mapping[str, str] | None = None
) -> Iterator[Problem]:
    """All that is wrong; `bio` tells whether the file's tags are of that form."""
    called = {key: (names or {}).get(key, key) for key in _KEYS}
    for key in row:
        if extra is not None and key not in _KEYS and key not in extra:
            yield unknown_key(key, key, _KEYS, "a row")
    found: list[Problem] = []
    for field, what in (("tokens", "words"), ("tags", "tags, one for each token")):
        name, value = called[field], row.get(field)
        if field not in row:
            expected = f"expected {called['tokens']!r} and {called['tags']!r}"
            found.append(Problem(f"no {name}", f"has no key {name!r}: its keys are {listed(row) or 'none'}, {expected}"))
        elif not isinstance(value, list):
            found.append(Problem(f"{name} is no array", f"{name} is {kind_of(value)}, expected an array of {what}"))
        elif not value and field == "tokens":
            found.append(Problem("empty tokens", f"{name} is empty, expected an array of {what}"))
        else:
            check = token_problems if field == "tokens" else one_tag_problems
            found += [problem for index, item in enumerate(value) for problem in check(f"{name}[{index}]", item)]
    yield from found
    if not found:
        yield from together_problems(called, row, bio)


def together_problems(called: dict[str, str], row: dict[str, Any], bio: bool) -> Iterator[Problem]:
    """What is wrong with tokens and tags that are each right."""
    tokens, tags = row["tokens"], row["tags"]
    if len(tokens) != len(tags):
        says = f"{called['tags']} has {len(tags)} entries, and {called['tokens']} has {len(tokens)}: expected one tag for each token"
        yield Problem("number of tags", says)
    elif all(tag in IGNORED for tag in tags):
        yield Problem("nothing to learn", f"every entry of {called['tags']} is -100, which is ignored, so there is nothing to learn")
    elif bio:
        yield from bio_problems(called["tags"], tag_texts(tags))


def token_problems(path: str, token: Any) -> Iterator[Problem]:
    """What is wrong with one token."""
    if not isinstance(token, str):
        yield Problem("token is not text", f"{path} is {shown(token)}, expected a string")
    elif not token.strip():
        yield Problem("empty token", f"{path} is {'only white space' if token else 'empty'}, expected a word: remove it and its tag")
    else:
        yield from character_problems(path, token)


def one_tag_problems(path: str, tag: Any) -> Iterator[Problem]:
    """What is wrong with one tag by itself."""
    if isinstance(tag, str):
        if not tag.strip():
            yield Problem("empty tag", f"{path} is {'only white space' if tag else 'empty'}, expected a tag: 'O' for a word of no entity")
        else:
            yield from character_problems(path, tag)
    elif type(tag) is not int:
        yield Problem("wrong tag", f"{path} is {shown(tag)}, expected a tag: a string, or the number of one")


def tag_texts(tags: list[Any]) -> list[str | None]:
    """Tags as text, None for ignored ones."""
    return [None if tag in IGNORED else label_text(tag) for tag in tags]


def bio_problems(path: str, tags: Sequence[str | None]) -> Iterator[Problem]:
    """Tags that are not of the form, and those that go on with an entity that did not begin, as far as one can see."""
    before: str | None = "O"
    for index, tag in enumerate(tags):
        if tag is None or before is None:
            before = tag
            continue
        if tag != "O" and (tag[:2] not in PREFIXES or not tag[2:].strip()):
            yield Problem(
                "not a BIO tag",
                f"{path}[{index}] is {shown(tag)}, expected 'O', or 'B-' or 'I-' and the entity as in 'B-PER'{hint_for(tag)}",
            )
        elif tag[:2] in INSIDE and (before[:2] not in ("B-", "I-") or before[2:] != tag[2:]):
            after = f"after {before!r}" if index else "at the beginning"
            hint = " (files in the older form IOB1 begin entities with I-: change their first tag to B-)" if tag[0] == "I" else ""
            says = f"{path}[{index}] is {tag!r} {after}, expected 'B-{tag[2:]}', which begins an entity{hint}"
            yield Problem("tag does not fit BIO", says)
        before = tag


def hint_for(tag: str) -> str:
    """A way for tags that are meant to be ignored."""
    return "; -100 for a token of which nothing is learned" if _IGNORE.fullmatch(tag) else ""
