"""What decoding JSON lines may lose, found in their bytes: a line, a key that was there twice, a null. Knows no row."""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
_QUOTE, _LINE_END, _BRACE, _ZERO, _BACKSLASH, _U = b'"\n{0\\u'


def is_whole(data: Bytes, rows: int, quotes: int) -> bool:
    """True when decoding has lost nothing: no line, no key that was there twice, no null. False for NUL characters, too.

    `quotes` are those that the rows need around keys and texts.
    """
    escaped = _escaped(data)
    if _quotes(data, escaped) != quotes or not one_a_line(data, rows):
        return False
    codes = escaped[data[escaped] == _U]
    for digit in range(1, 5):
        codes = codes[data[codes + digit] == _ZERO]
    return not len(codes)


def quotes_of(data: Bytes) -> int:
    """Those around keys and texts, not the escaped ones within them."""
    return _quotes(data, _escaped(data))


def _escaped(data: Bytes) -> npt.NDArray[np.int64]:
    """Places of the bytes after a backslash."""
    return np.flatnonzero(data[:-1] == _BACKSLASH) + 1


def _quotes(data: Bytes, escaped: npt.NDArray[np.int64]) -> int:
    return int(np.count_nonzero(data == _QUOTE) - np.count_nonzero(data[escaped] == _QUOTE))


def one_a_line(data: Bytes, rows: int) -> bool:
    """True when each of `rows` objects has a line of its own, without blank ones between."""
    ends = np.flatnonzero(data == _LINE_END)
    if len(ends) and ends[-1] == len(data) - 1:
        ends = ends[:-1]
    return bool(len(ends) + 1 == rows and data[0] == _BRACE and (data[ends + 1] == _BRACE).all())
