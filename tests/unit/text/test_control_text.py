"""Special tokens in the words of users are found, however many a vocabulary has."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_text.control_text import ControlText, any_of

pytestmark = pytest.mark.unit

TOKENS = [f"<SPECIAL_{number}>" for number in range(1000)] + ["<s>", "</s>", "[INST]", "[/INST]", "<s", "a.c"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Say <SPECIAL_9>.", "<SPECIAL_9>"),
        ("Say <SPECIAL_99>.", "<SPECIAL_99>"),
        ("<SPECIAL_1000>", None),
        ("<SPECIAL_", None),
        ("<SPECIAL_<s>", "<s>"),
        ("</INST] [/INST]", "[/INST]"),
        ("<<s ", "<s"),
        ("abc a.c", "a.c"),
    ],
)
def test_the_first_and_longest_one_is_found(text: str, found: str | None) -> None:
    """Also where others begin alike; what is hidden comes back."""
    control = ControlText(TOKENS)
    assert control.spelled(text) == found
    shown, places = control.shown(control.hide(text))
    assert (shown, [text[start:end] for start, end in places][:1]) == (text, [found] if found else [])


@given(st.sets(st.text("ab<", min_size=1, max_size=4), min_size=1), st.text("ab<", max_size=12))
def test_shared_beginnings_change_nothing(tokens: set[str], text: str) -> None:
    """The same as all tokens one after the other, the longest first."""
    plain = "|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))
    assert re.findall(any_of(tokens), text) == re.findall(plain, text)


def test_what_tokens_share_is_tried_once() -> None:
    """A text is read once, and not for each of a thousand tokens."""
    assert any_of(f"<x{number}>" for number in (1, 10, 11)) == "<x1(?:0>|1>|>)"
