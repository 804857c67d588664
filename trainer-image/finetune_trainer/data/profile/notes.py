"""Words for what was counted: notes and refusals about a dataset as a whole."""

from collections.abc import Iterable, Sequence

from finetune_trainer.data.profile.profile import Profile

_LONGEST = 40


def counted(number: int, noun: str) -> str:
    """ "1 row", "1,200 rows", "2 classes"."""
    if number == 1:
        return f"1 {noun}"
    plural = noun[:-1] + "ies" if noun.endswith("ity") else noun + "s"
    return f"{number:,} {plural}"


def verb(things: Sequence[object], plural: str) -> str:
    """ "occurs" for one, "occur" for more; "is" for "are", "has" for "have"."""
    return plural if len(things) != 1 else {"are": "is", "have": "has"}.get(plural, f"{plural}s")


def quoted(name: str) -> str:
    """A value of the file, short enough for a sentence."""
    return repr(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}...")


def shortened_list(parts: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(parts) - most:,} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more


def among(names: Iterable[str], most: int) -> str:
    """The same of values of the file."""
    return shortened_list([quoted(name) for name in names], most)


def invalid_notes(profile: Profile, name: str) -> list[str]:
    """A note on rows that were left out of a file."""
    count, kinds = len(profile.invalid), profile.findings.kinds
    if not count:
        return []
    what = ", ".join(f"{number:,} x {kind}" for kind, number in kinds.most_common(5))
    rows = f"{count:,} of {counted(profile.rows_read, 'row')} of {name} {'is' if count == 1 else 'are'} invalid and dropped"
    return [f"{rows} ({what}), as dataset.limits.maxInvalidFraction allows"]


def remark_notes(profile: Profile, name: str) -> list[str]:
    """Notes on rows that are right, but worth a look."""
    return [f"{name}, {places}: {sentence}" for sentence, places in profile.remarks.items()]
