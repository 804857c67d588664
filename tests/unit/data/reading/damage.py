"""Files that something has damaged, for the fuzzers."""

import random

PIECES = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b"\\",
    b"\n",
    b"\r",
    b"\0",
    b"\xef\xbb\xbf",
    b"PAR1",
    b"\xff\xff\xff\xff",
    b"\xc3",
    b"9" * 5000,
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with some bytes changed, cut out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at = chance.randrange(len(changed) + 1)
        until = min(at + chance.choice([1, 1, 4, 64, len(data)]), len(changed))
        match chance.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(changed):
                changed[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 2:
                del changed[at:until]
            case 3:
                changed[at:at] = changed[at:until]
            case 4:
                changed[at:at] = chance.choice(PIECES)
            case _:
                changed[at:until] = chance.randbytes(min(until - at, 64))
    return bytes(changed)
