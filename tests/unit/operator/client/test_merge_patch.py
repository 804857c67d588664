"""A merge patch applied to the old document gives the new one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_operator.client.merge_patch import merge_patch

pytestmark = pytest.mark.unit

LEAVES = st.integers(0, 3) | st.text(max_size=2) | st.booleans()
DOCUMENTS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(LEAVES | st.lists(LEAVES, max_size=2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_size=3,
)


def applied(document: Any, patch: Any) -> Any:
    """RFC 7386, word for word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


@given(DOCUMENTS, DOCUMENTS)
def test_round_trip(old: dict[str, Any], new: dict[str, Any]) -> None:
    """For any two documents, and with nothing to send when they are equal."""
    patch = merge_patch(old, new)
    assert applied(old, patch) == new
    assert bool(patch) == (old != new)


def test_only_the_difference_is_sent() -> None:
    """Lists as a whole, objects field by field, null for what is to go."""
    old = {"phase": "Training", "eta": "5m", "error": {"code": "X", "param": "p"}, "attempts": [1]}
    new = {"phase": "Training", "error": {"code": "X"}, "attempts": [1, 2]}
    assert merge_patch(old, new) == {"eta": None, "error": {"param": None}, "attempts": [1, 2]}
