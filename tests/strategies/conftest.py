"""Fixtures of the train stage's tests; the model is one whose heads two processes can divide."""

from tests.trainer.conftest import as_in_image
from tests.trainer.train.conftest import encoder, experts, one_thread
from tests.trainer.train.conftest import even as tiny

__all__ = ["as_in_image", "encoder", "experts", "one_thread", "tiny"]
