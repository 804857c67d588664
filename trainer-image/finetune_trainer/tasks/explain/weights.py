"""Whether a message of the assistant is to be learned: OpenAI's `weight`, and the flags of other programs that say the same."""

from collections.abc import Iterator
from typing import Any, Literal

from finetune_trainer.tasks.explain.problem import Problem, shown

FLAGS = ("weight", "train", "loss")
"""`weight` is OpenAI's, `train` Axolotl's, `loss` ms-swift's: 0 or false keeps a message out of the loss."""


def weight_of(message: dict[str, Any]) -> Literal[0, 1] | None:
    """0, 1, or None where nothing is said; of a message that is right."""
    given = [message[flag] for flag in FLAGS if message.get(flag) is not None]
    return None if not given else 1 if given[0] else 0


def is_learnt(message: dict[str, Any]) -> bool:
    """True when a message of the assistant is in the loss."""
    return weight_of(message) != 0


def weight_problems(path: str, message: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the flags of one message."""
    given = {flag: message[flag] for flag in FLAGS if message.get(flag) is not None}
    for flag, value in given.items():
        if flag == "weight" and (isinstance(value, bool) or value not in (0, 1)):
            yield Problem("wrong weight", f"{path}.weight is {shown(value)}, expected 0 or 1")
        elif not isinstance(value, bool | int | float) or value not in (0, 1):
            yield Problem("wrong weight", f"{path}.{flag} is {shown(value)}, expected true or false")
        elif message.get("role") in ("system", "developer", "user", "tool") and (value or flag == "weight"):
            says = f"{path}.{flag}: only an assistant's message has a {flag}, this is the {message['role']}'s; remove it"
            yield Problem("wrong weight", says)
    if len({bool(value) for value in given.values()}) > 1:
        both = " and ".join(f"{flag} {shown(value)}" for flag, value in given.items())
        yield Problem("wrong weight", f"{path} has {both}, which contradict each other: keep one")
