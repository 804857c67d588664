"""Stop strings and incremental decoding, whatever the pieces are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_server.generation.detokenizer import MAX_PENDING, REPLACEMENT, Detokenizer
from finetune_server.generation.stop import StopMatcher

pytestmark = pytest.mark.unit

TEXTS = st.text(alphabet="abc", max_size=24)
STOPS = st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=4)


def cut(text: str, stops: list[str]) -> str:
    """The rule, read as slowly as it is written: the stop string that ends first, and of those the longest."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)]
    return text


@given(pieces=st.lists(TEXTS, max_size=8), stops=STOPS)
def test_stop_strings_do_not_depend_on_the_pieces(pieces: list[str], stops: list[str]) -> None:
    """The text that comes out is the text up to the first stop string, however it was cut into pieces."""
    matcher = StopMatcher(stops)
    passed_on = [matcher.push(piece) for piece in pieces]
    whole = "".join(pieces)
    assert "".join(passed_on) + matcher.flush() == cut(whole, stops)
    assert matcher.matched == (cut(whole, stops) != whole)


@given(pieces=st.lists(TEXTS, max_size=8), stops=STOPS)
def test_no_part_of_a_stop_string_is_passed_on(pieces: list[str], stops: list[str]) -> None:
    """At every moment, what has been passed on ends before anything that may still become a stop string."""
    matcher = StopMatcher(stops)
    passed_on, seen = "", ""
    for piece in pieces:
        passed_on, seen = passed_on + matcher.push(piece), seen + piece
        for stop in stops:
            assert cut(seen + stop, stops).startswith(passed_on)


def decode_bytes(tokens: list[int]) -> str:
    """A tokenizer whose tokens are single bytes: every character that is not ASCII has several tokens."""
    return bytes(tokens).decode(errors="replace")


@given(st.text())
def test_never_half_a_character(text: str) -> None:
    """Pieces are whole characters, and joined they are the text."""
    detokenizer = Detokenizer(decode_bytes)
    pieces = [detokenizer.push(byte) for byte in text.encode()]
    assert "".join(pieces) + detokenizer.flush() == text
    if REPLACEMENT not in text:
        assert not any(REPLACEMENT in piece for piece in pieces)


@pytest.mark.parametrize("token", [0xFF, 0xE4], ids=["no character", "half a character"])
def test_an_answer_without_a_character(token: int) -> None:
    """Tokens that never become a character, or are not shown, are not decoded again with each one that follows."""
    longest = 0

    def decode(tokens: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(tokens))
        return decode_bytes([value for value in tokens if value])

    detokenizer = Detokenizer(decode)
    pieces = [detokenizer.push(value) for value in [token] * 1000 + [0] * 1000 + list(b"end")]
    assert "".join(pieces) + detokenizer.flush() == REPLACEMENT * 1000 + "end"
    assert longest <= 2 * MAX_PENDING


@given(st.binary(max_size=40))
def test_bytes_that_are_no_text(data: bytes) -> None:
    """What is no UTF-8 comes out as it would when decoded at once."""
    detokenizer = Detokenizer(decode_bytes)
    pieces = [detokenizer.push(byte) for byte in data]
    assert "".join(pieces) + detokenizer.flush() == data.decode(errors="replace")
