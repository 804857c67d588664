"""Reasons in a few words, as a column shows them."""

import re

from finetune_api.resources.common import ErrorStatus

_WORDS = {
    "CreatingPods": "creating pods",
    "PodsStarting": "pods are starting",
    "PodsEnding": "pods are ending",
    "QueuedByKueue": "queued by Kueue",
    "Unschedulable": "no node has room",
    "Registering": "registering the model",
    "OutputExists": "output.model exists",
}


def in_words(reason: str) -> str:
    """ "out of memory" for OutOfMemory."""
    return _WORDS.get(reason) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", reason).lower()


def told_briefly(reason: str, error: ErrorStatus | None) -> str:
    """The reason, and the object that it is about unless that is one of the stage's own pods: "secret not found: s3-credentials"."""
    kind, _, name = (error.object or "").partition(" ") if error and error.code == reason else ("", "", "")
    return f"{in_words(reason)}: {name}" if name and kind != "Pod" else in_words(reason)
