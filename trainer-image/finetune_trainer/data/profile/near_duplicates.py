"""RowMask that say nearly the same, found by MinHash over their texts. Knows neither files nor sides.

A text is the set of its runs of five bytes, in lower case and with white space as one space; two texts are near when they share
85 % of all the runs that they have together (Jaccard): one word in about eight may differ in a longer text, none in a short one.
System messages and tools, which many rows share, do not count.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from finetune_trainer.data.profile.duplicates import Codes, RowMask
from finetune_trainer.data.profile.profile import Hashes
from finetune_trainer.tasks.rows import Row

NEAR = 0.85
LIMIT = 250_000
"""RowMask that are compared: 128 bytes each."""
LONGEST = 8192
"""Characters of a row that are looked at."""
_SHINGLE = 5
_PERMUTATIONS = 128
_BANDS = 16
"""Of eight numbers: two rows with 85 % in common agree in one of the bands with a chance of 99.4 %, with 90 % of 99.99 %."""
_NEIGHBOURS = (1, 2, 3)
BATCH = 1 << 18

Digests = npt.NDArray[np.uint8]
"""Of each number of a MinHash the last eight bits: unequal ones agree by chance once in 256 times."""
Pairs = npt.NDArray[np.int64]
"""Two columns: numbers of sketched rows that are near."""


@dataclass(frozen=True)
class Sketches:
    """MinHash digests of some rows of a file."""

    rows: npt.NDArray[np.int64]
    """Their numbers in the file."""
    where: list[str]
    digests: Digests


def chosen(hashes: Hashes, wanted: RowMask, limit: int) -> RowMask:
    """The wanted rows, or a fair draw of `limit` of them that does not depend on their order."""
    if int(wanted.sum()) <= limit:
        return wanted
    last = np.partition(hashes[wanted], limit - 1)[limit - 1]
    drawn: RowMask = wanted & (hashes <= last)
    return drawn


def sketch(rows: Iterable[tuple[str, Row]], wanted: RowMask, text_of: Callable[[Row], str]) -> Sketches:
    """Digests of the wanted rows of a file; `text_of` gives what of a row is compared."""
    where: list[str] = []
    digests: Digests = np.empty((int(wanted.sum()), _PERMUTATIONS), np.uint8)
    texts: list[bytes] = []
    size = 0
    for (place, row), take in zip(rows, wanted, strict=False):
        if take:
            where.append(place)
            texts.append(" ".join(text_of(row)[:LONGEST].lower().split()).encode())
            size += len(texts[-1])
            if size > BATCH:
                digests[len(where) - len(texts) : len(where)] = digest(texts)
                texts, size = [], 0
    if texts:
        digests[len(where) - len(texts) : len(where)] = digest(texts)
    return Sketches(np.flatnonzero(wanted), where, digests)


def digest(texts: list[bytes]) -> Digests:
    """MinHash of each text's shingles; a text's first and last bytes count with what is not beside them, so that none is too short."""
    gap = b"\0" * (_SHINGLE - 1)
    data = np.frombuffer(gap + b"".join(text + gap for text in texts), np.uint8).astype(np.uint64)
    count = len(data) - len(gap)
    hashes = data[:count].copy()
    for place in range(1, _SHINGLE):
        hashes = (hashes << np.uint64(8)) | data[place : place + count]
    hashes *= np.uint64(0x9E3779B97F4A7C15)
    hashes ^= hashes >> np.uint64(29)
    borders = np.cumsum([0, *(len(text) + len(gap) for text in texts)]).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, borders, _PERMUTATIONS, 1)
    return np.array(matrix.to_rows(), np.uint32).astype(np.uint8)


def near_pairs(digests: Digests, hashes: Hashes) -> Pairs:
    """Pairs of near rows, enough to connect them: in a large cluster not each with each. By `hashes` the order of rows is irrelevant."""
    order = np.argsort(hashes, kind="stable")
    width = _PERMUTATIONS // _BANDS
    bands = (digests[order, start : start + width] for start in range(0, _PERMUTATIONS, width))
    pairs = np.unique(np.sort(np.concatenate([order[agreeing(band)] for band in bands]), axis=1), axis=0)
    blocks = np.array_split(pairs, len(pairs) // 65536 + 1)
    return np.concatenate([block[(digests[block[:, 0]] == digests[block[:, 1]]).mean(axis=1) >= NEAR] for block in blocks])


def agreeing(band: Digests) -> Pairs:
    """Pairs of rows that are equal in this part of their digests: each with its neighbours and with the first of its kind."""
    _, kind, sizes = np.unique(np.ascontiguousarray(band).view(np.uint64)[:, 0], return_inverse=True, return_counts=True)
    rows = np.flatnonzero(sizes[kind] > 1)
    rows = rows[np.argsort(kind[rows], kind="stable")]
    kinds = kind[rows]
    pairs = [np.stack((rows[:-lag], rows[lag:]), axis=1)[kinds[:-lag] == kinds[lag:]] for lag in _NEIGHBOURS]
    firsts = rows[np.searchsorted(kinds, kinds)]
    return np.concatenate([*pairs, np.stack((firsts, rows), axis=1)[firsts != rows]])


def clusters(count: int, pairs: Pairs) -> Codes:
    """A number for each of `count` rows: the same for all that a chain of pairs connects."""
    found = np.arange(count, dtype=np.int64)
    first, second = pairs[:, 0], pairs[:, 1]
    while True:
        least = np.minimum(found[first], found[second])
        before = found.copy()
        np.minimum.at(found, first, least)
        np.minimum.at(found, second, least)
        found = found[found]
        if np.array_equal(found, before):
            return found
