"""The engines that deployments can use."""

from typing import get_args

from finetune_api.engines import ENGINES, EngineName


def test_the_enumeration_is_the_table() -> None:
    """A ModelDeployment takes the engines of the table and no others."""
    assert list(get_args(EngineName)) == [engine.name for engine in ENGINES.values()] == list(ENGINES)
