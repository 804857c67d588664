"""Which texts say nothing: one rule for rows and requests."""

_INVISIBLE = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
BLANK = "".join(char for char in map(chr, range(0x3001)) if char.isspace()) + _INVISIBLE
"""Characters that say nothing by themselves: white space, and what has no width."""
