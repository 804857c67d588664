"""What decoding JSON lines may lose, found in their bytes: a line, a key that was there twice, a null. Knows no row."""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
_QUOTE, _LINE_END, _BRACE, _ZERO = b'"\n{0'
_CODE_POINT, _ESCAPED_QUOTE = np.frombuffer(b'\\u\\"', np.uint16).tolist()


def is_whole(data: Bytes, rows: int, quotes: int) -> bool:
    """True when decoding has lost nothing: no line, no key that was there twice, no null. False for NUL characters, too.

    `quotes` are those that the rows need around keys and texts.
    """
    if quotes_of(data) != quotes or not one_a_line(data, rows):
        return False
    codes = _places(data, _CODE_POINT)
    return not (data[codes[:, None] + np.arange(2, 6)] == _ZERO).all(axis=1).any()


def quotes_of(data: Bytes) -> int:
    """Those around keys and texts, not the escaped ones within them."""
    return int(np.count_nonzero(data == _QUOTE)) - len(_places(data, _ESCAPED_QUOTE))


def _places(data: Bytes, pair: int) -> npt.NDArray[np.int64]:
    """Where two bytes follow each other: at even places, and at odd ones."""
    parts = (data, data[1:])
    return np.concatenate([2 * np.flatnonzero(part[: len(part) & ~1].view(np.uint16) == pair) + odd for odd, part in enumerate(parts)])


def one_a_line(data: Bytes, rows: int) -> bool:
    """True when each of `rows` objects has a line of its own, without blank ones between."""
    ends = np.flatnonzero(data == _LINE_END)
    if len(ends) and ends[-1] == len(data) - 1:
        ends = ends[:-1]
    return bool(len(ends) + 1 == rows and data[0] == _BRACE and (data[ends + 1] == _BRACE).all())
