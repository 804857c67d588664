"""What the server refuses before the engine sees it."""

import pytest

from finetune_server.http.errors import ApiError
from finetune_server.http.limits import check_tokens, room_for_answer

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("tokens", "wrong"), [([], None), ([0, 9], None), ([3, 10, 11], 10), ([-1], -1)])
def test_ids_that_the_model_has_not(tokens: list[int], wrong: int | None) -> None:
    """A tokenizer may know tokens beyond the model's weights: they are the request's mistake and never reach the engine."""
    if wrong is None:
        check_tokens(tokens, 10, param="messages")
        return
    with pytest.raises(ApiError, match=f"'messages' holds token id {wrong}; the model's ids go from 0 to 9") as refused:
        check_tokens(tokens, 10, param="messages")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("prompt", "wanted", "room"), [(1, None, 511), (511, None, 1), (511, 1, 1), (500, 12, 12), (512, None, None), (500, 13, None)]
)
def test_room_for_an_answer(prompt: int, wanted: int | None, room: int | None) -> None:
    """Prompt and answer share the context; what does not fit is refused by OpenAI's code."""
    if room is not None:
        assert room_for_answer(512, prompt, wanted, param="messages") == room
        return
    with pytest.raises(ApiError, match="maximum context length is 512 tokens") as refused:
        room_for_answer(512, prompt, wanted, param="messages")
    assert refused.value.code == "context_length_exceeded"
