"""docs/models.md is what the table of families makes it."""

from scripts.models_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    """`make models` writes it."""
    assert PAGE.read_text() == page()
