"""Validation rows as requests to a server, with the tokens seen in training: written by prepare, compared by publish."""

from pathlib import Path
from typing import Any

import msgspec

from finetune_trainer.failure import invalid
from finetune_trainer.workspace.files import write_atomic


class HeldOutRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row, with exactly one of messages, prompt and input."""

    where: str
    """The row: "line 17"."""
    trained: list[list[int]]
    """Token ids of the row's examples up to the answer (lossOn all: whole examples); for a classifier, its untruncated input."""
    messages: list[dict[str, Any]] | None = None
    """For chat: the messages before the answer, in the format of OpenAI's API."""
    tools: list[dict[str, Any]] | None = None
    prompt: str | None = None
    input: str | list[str] | None = None
    """For a classifier of texts or words."""
    pair: str | None = None
    """For a classifier of text pairs: the second text."""
    whole: bool = False
    """`trained` has whole examples, which begin with the prompt."""
    now: str | None = None
    """The time given to a chat template that asks for it (ISO 8601)."""


def write_requests(path: Path, requests: list[HeldOutRequest]) -> None:
    """Writes requests.json."""
    write_atomic(path, msgspec.json.encode(requests).decode())


def read_requests(path: Path) -> list[HeldOutRequest]:
    """Raises StageFailure for a file that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[HeldOutRequest])
    except (OSError, msgspec.MsgspecError) as exc:
        raise invalid("PreparedDataUnreadable", f"cannot read the validation requests {path}: {exc}; run prepare again") from exc
