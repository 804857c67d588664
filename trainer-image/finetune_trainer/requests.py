"""Held-out rows as requests to a server, and the tokens that training has in the same place: prepare leaves them, publish compares."""

from pathlib import Path
from typing import Any

import msgspec

from finetune_trainer.failure import invalid
from finetune_trainer.files import write_atomic


class HeldOutRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row. Exactly one of messages, prompt and input is there."""

    where: str
    """Of which row: "line 17"."""
    trained: list[list[int]]
    """What an example of the row has before an answer (lossOn all: whole examples); a classifier's input, uncut."""
    messages: list[dict[str, Any]] | None = None
    """Of a chat, up to where the answer begins, as OpenAI's API has them."""
    tools: list[dict[str, Any]] | None = None
    prompt: str | None = None
    input: str | list[str] | None = None
    """Of a classifier of texts or of words."""
    pair: str | None = None
    """A classifier's second text."""
    whole: bool = False
    """`trained` are whole examples, which begin with the prompt."""
    now: str | None = None
    """What a chat template that asks for the time was told (ISO 8601)."""


def write_requests(path: Path, requests: list[HeldOutRequest]) -> None:
    """Writes requests.json."""
    write_atomic(path, msgspec.json.encode(requests).decode())


def read_requests(path: Path) -> list[HeldOutRequest]:
    """Raises StageFailure for a file that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[HeldOutRequest])
    except (OSError, msgspec.MsgspecError) as exc:
        raise invalid("PreparedDataUnreadable", f"cannot read the validation requests {path}: {exc}; run prepare again") from exc
