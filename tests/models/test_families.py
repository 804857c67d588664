"""The table of families is the truth: what it promises works, what it denies does not, and it knows every family there is."""

from importlib.metadata import version
from pathlib import Path

import pytest

from finetune_trainer.families import Family, families, versions
from tests.models.measured import every_family, measure

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]  # of the families' own deprecations
ALL = every_family()


def test_every_family_of_the_pinned_transformers_is_in_the_table() -> None:
    """With its kind and its class, and measured with the packages that are pinned."""
    known = {name: (family.kind, family.name) for name, family in families().items()}
    assert known == {family.model_type: (family.kind, family.name) for family in ALL}
    assert versions() == {package: version(package) for package in versions()}


@pytest.mark.parametrize("family", [one for one in ALL if one.kind != "other"], ids=lambda family: family.model_type)
def test_what_the_table_says_of_a_family_is_so(family: Family, tmp_path: Path) -> None:
    """By LoRA, by QLoRA, by IA3, in full, divided between two processes, and as ONNX, from prepare to an answer of the server."""
    check(family, tmp_path)


def check(family: Family, folder: Path) -> None:
    """Fails with the reasons that were found where the table has none, and the other way round."""
    said, found = families()[family.model_type], measure(family, folder)
    for what in ("lora", "qlora", "ia3", "full", "tensor_parallel", "onnx"):
        assert bool(getattr(found, what)) == bool(getattr(said, what)), f"{what}: found {getattr(found, what)!r}, the table: {said}"
    assert found.undivided == pytest.approx(said.undivided, abs=0.001)
