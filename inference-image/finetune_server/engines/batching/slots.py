"""Which slots of the key-value memory are taken."""

import heapq


class Slots:
    """Gives out the lowest free slot, so that the span of slots a decode step runs over stays short."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count))
        self._taken: set[int] = set()

    def __bool__(self) -> bool:
        """True while a slot is free."""
        return bool(self._free)

    @property
    def span(self) -> int:
        """One more than the highest taken slot; 0 when none is taken."""
        return max(self._taken, default=-1) + 1

    def take(self) -> int:
        """The lowest free slot."""
        slot = heapq.heappop(self._free)
        self._taken.add(slot)
        return slot

    def give_back(self, slot: int) -> None:
        """Frees a taken slot."""
        assert slot in self._taken, f"slot {slot} is not taken"
        self._taken.remove(slot)
        heapq.heappush(self._free, slot)
