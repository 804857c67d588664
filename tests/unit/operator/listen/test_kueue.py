"""Whether Kueue is installed."""

from typing import Any

import pytest

from finetune_operator.client.errors import ApiError, Forbidden, NotFound, ServerGone
from finetune_operator.listen.kueue import GROUP, kueue_installed

pytestmark = pytest.mark.unit


class Discovery:
    """Stands in for the request layer: answers with `error`, or with a group."""

    def __init__(self, error: ApiError | None) -> None:
        self.error = error

    async def get(self, path: str) -> Any:
        assert path == GROUP
        if self.error:
            raise self.error
        return {"kind": "APIGroup"}


@pytest.mark.parametrize(
    ("error", "installed"),
    [(None, True), (NotFound("GET", 404), False), (Forbidden("GET", 403), True), (ServerGone("GET", 0), True)],
)
async def test_kueue_is_missing_only_where_the_api_server_says_so(error: ApiError | None, installed: bool) -> None:
    """An account that may not look, or a server that does not answer, says nothing."""
    assert await kueue_installed(Discovery(error)) is installed  # type: ignore[arg-type]
