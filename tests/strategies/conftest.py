"""Fixtures of the train stage's tests; the model is one whose heads two processes can divide."""

from tests.trainer.train.conftest import even as tiny
from tests.trainer.train.conftest import one_thread

__all__ = ["one_thread", "tiny"]
