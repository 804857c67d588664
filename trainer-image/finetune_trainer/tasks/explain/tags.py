"""What is wrong with a row of task token-classification.

Where the first rows have tags like B-PER and I-PER, all tags must be in that form: O, or a prefix and the entity. I-X (in BIOES and
BILOU also E-X and L-X, which are taken as they are) goes on with an entity, so B-X or I-X must come before it. Other tags (NOUN, VERB)
have no order.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from finetune_text.tags import BEGINNING, ENDING
from finetune_trainer.tasks.explain.labels import label_text
from finetune_trainer.tasks.explain.problem import Problem, character_problems, kind_of, listed, shown, unknown_key

KEYS = ("tokens", "tags")
PREFIXES = tuple(f"{prefix}-" for prefix in ("I", *BEGINNING, *ENDING))
INSIDE = ("I-", "E-", "L-")
IGNORED = (-100, "-100")
"""What PyTorch's losses ignore: a token of which nothing is learnt, not a class."""
_IGNORE = re.compile(r"\W*(ignored?|ign|pad|none|null|x|-?\d+)\W*", re.IGNORECASE)
"""Tags that may be meant so."""


def tag_problems(
    row: dict[str, Any], bio: bool, extra: Collection[str] | None = (), names: Mapping[str, str] | None = None
) -> Iterator[Problem]:
    """All that is wrong; `bio` tells whether the file's tags are of that form."""
    called = {key: (names or {}).get(key, key) for key in KEYS}
    for key in row:
        if extra is not None and key not in KEYS and key not in extra:
            yield unknown_key(key, key, KEYS, "a row")
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
