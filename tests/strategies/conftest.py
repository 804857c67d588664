"""Fixtures of the train stage's tests."""

from tests.trainer.train.conftest import one_thread, tiny

__all__ = ["one_thread", "tiny"]
