"""Where the same thing was found."""

import pytest

from finetune_trainer.data.profile.findings import Places, join_into

# (places, their summary)
TOLD: list[tuple[list[str], str]] = [
    (["line 7"], "line 7"),
    (["line 7", "line 9"], "lines 7 and 9"),
    (["row 1", "row 2", "row 5"], "rows 1, 2 and 5"),
    (["row 1 (line 4)", "row 2 (line 9)"], "rows 1 (line 4) and 2 (line 9)"),
    ([f"line {number}" for number in range(1, 15)], "lines 1, 2, 3 and 11 more"),
    ([f"line {number}" for number in range(1, 2004)], "lines 1, 2, 3 and 2,000 more"),
]


@pytest.mark.parametrize("places, reported", TOLD)
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_places_are_summarised(places: list[str], reported: str, cut: int) -> None:
    """The first ones and a count, also where several processes found them."""
    found: dict[str, Places] = {}
    for part in (places[:cut], places[cut:]):
        some: dict[str, Places] = {}
        for where in part:
            some.setdefault("text", Places()).add(where)
        join_into(found, some, 50)
    assert str(found["text"]) == reported
