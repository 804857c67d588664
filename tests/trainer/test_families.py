"""A handful of families as `make test-models` tries all of them: from prepare to publish and, with ONNX, to an answer of the server."""

from pathlib import Path

import pytest

from tests.models.factors import factors_reason
from tests.models.measured import every_family
from tests.models.test_families import check
from tests.models.tiny_models import make_encoder

HANDFUL = ("distilbert", "gemma3_text", "gpt2", "mixtral")
"""An encoder, window attention with two rotary settings, transposed matrices without a chat template, a mixture of experts."""
FAMILIES = {family.model_type: family for family in every_family()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type", HANDFUL)
def test_a_family_works_as_the_table_says(model_type: str, tmp_path: Path) -> None:
    """By LoRA, in full, and as ONNX."""
    check(FAMILIES[model_type], tmp_path)


def test_factors_merge_beside_a_head_of_several_layers(tmp_path: Path) -> None:
    """IA3 of an encoder whose head for labels has two layers, which are trained whole."""
    assert factors_reason(make_encoder("roberta", tmp_path), FAMILIES["roberta"]) == ""
