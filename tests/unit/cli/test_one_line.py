"""Names of classes are whatever a dataset has in them, and stay on one line of a list."""

import pytest

from finetune_cli.report_text import one_line
from finetune_trainer.publish.card import code


@pytest.mark.parametrize(
    "name, shown, in_card",
    [
        ("spam", "spam", "`spam`"),
        ("very\nurgent", "very\\nurgent", "`very\\nurgent`"),
        ('say "hi"', 'say "hi"', '`say "hi"`'),
        ("a`b\t", "a`b\\t", "`` a`b\\t ``"),
    ],
)
def test_a_class_name_is_on_one_line(name: str, shown: str, in_card: str) -> None:
    """In the report of the command line and in the model card."""
    assert (one_line(name), code(name)) == (shown, in_card)
