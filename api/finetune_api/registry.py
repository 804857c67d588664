"""Named entries of one kind, each made in one file: tasks, methods, strategies, engines, artifacts.

A room lists its own entries in its first page, one line each. Installed packages add theirs by an entry point of the
registry's group (https://packaging.python.org/specifications/entry-points), so that an image built on one of this project's
can bring an entry without a change here. What an entry must have is the protocol of its room.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Protocol, TypeVar


class Named(Protocol):
    """What every entry has."""

    @property
    def name(self) -> str:
        """As specs and run configs write it."""
        ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Mapping[str, Entry]):
    """Entries by name, in the order in which they were listed; those of installed packages come last.

    Raises ValueError for a name that two entries have. An unknown name is a KeyError that says which are known.
    """

    def __init__(self, noun: str, group: str, *entries: Entry) -> None:
        self._noun = noun
        self._group = group
        self._own = entries

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for entry in (*self._own, *(point.load() for point in entry_points(group=self._group))):
            if entry.name in found:
                raise ValueError(f"{self._noun} {entry.name!r} is registered twice")
            found[entry.name] = entry
        return found

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise KeyError(f"unknown {self._noun} {name!r}; known: {', '.join(self._entries)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
