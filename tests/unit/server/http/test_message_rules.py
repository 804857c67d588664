"""What the messages of a chat must keep to."""

from typing import Any

import pytest

from finetune_server.http.errors import ApiError
from finetune_server.http.schemas.chat import ChatBody

pytestmark = pytest.mark.unit

USER = {"role": "user", "content": "Hi"}


def called(*ids: str) -> dict[str, Any]:
    """An assistant's message that calls a function by these ids."""
    calls = [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def answer(one: str) -> dict[str, Any]:
    """What a call came to."""
    return {"role": "tool", "content": "", "tool_call_id": one}


@pytest.mark.parametrize(
    "messages, param, says",
    [
        ([called("a"), answer("a")], None, ""),
        ([called("a", "b"), answer("b"), answer("a"), USER], None, ""),
        ([called("a", "a"), answer("a"), answer("a"), USER], None, ""),
        ([called("a", "b"), answer("b"), USER], "messages[1]", "call 'a' has no answer"),
        ([called("a", "a"), answer("a"), USER], "messages[1]", "call 'a' has no answer"),
        ([called("a"), answer("a"), answer("a")], "messages[2].tool_call_id", "'a' matches no unanswered tool call of the preceding"),
        ([called("a"), answer("a"), USER, answer("a")], "messages[3].tool_call_id", "'a' matches no unanswered tool call"),
        ([called("a")], "messages[0]", "call 'a' has no answer"),
    ],
)
def test_calls_and_their_answers(messages: list[dict[str, Any]], param: str | None, says: str) -> None:
    """Each call is answered right behind its message, in any order, and each answer has its call."""
    body = ChatBody.model_validate({"model": "m", "messages": messages})
    if param is None:
        body.refuse()
        return
    with pytest.raises(ApiError, match=says) as refused:
        body.refuse()
    assert refused.value.param == param
