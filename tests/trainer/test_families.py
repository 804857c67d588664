"""A handful of families as `make test-models` tries all of them: from prepare to publish and, with ONNX, to an answer of the server."""

from pathlib import Path

import pytest

from tests.models.measured import every_family
from tests.models.test_families import check

HANDFUL = ("distilbert", "gemma3_text", "gpt2", "mixtral")
"""An encoder, window attention with two rotary settings, transposed matrices without a chat template, a mixture of experts."""
FAMILIES = {family.model_type: family for family in every_family()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type", HANDFUL)
def test_a_family_works_as_the_table_says(model_type: str, tmp_path: Path) -> None:
    """By LoRA, in full, and as ONNX."""
    check(FAMILIES[model_type], tmp_path)
