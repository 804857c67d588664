"""Where the same thing was found: how often, and the first places."""

from dataclasses import dataclass, field

SHOWN = 3
"""Places that are named."""


@dataclass
class Places:
    """ "line 17"; "lines 1, 2 and 3"; "lines 1, 2, 3 and 11 more"."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str) -> None:
        """Takes in a place."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(where)

    def join(self, other: "Places") -> None:
        """Takes in what was found further on."""
        self.count += other.count
        self.first += other.first[: SHOWN - len(self.first)]

    def __str__(self) -> str:
        if self.count == 1:
            return self.first[0]
        names = [where.split(" ", 1) for where in self.first]
        kind, places = names[0][0], [place for _, place in names]
        last = f"{self.count - SHOWN:,} more" if self.count > SHOWN else places.pop()
        return f"{kind}s {', '.join(places)} and {last}"


def add_to(found: dict[str, Places], text: str, where: str, most: int) -> None:
    """Takes down where a text holds, of at most so many texts."""
    if text in found or len(found) < most:
        found.setdefault(text, Places()).add(where)


def join_into(found: dict[str, Places], others: dict[str, Places], most: int) -> None:
    """Takes in the texts that were found further on."""
    for text, places in others.items():
        if text in found or len(found) < most:
            found.setdefault(text, Places()).join(places)
