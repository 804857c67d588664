"""Program arguments and the processors it may use."""

import os
from pathlib import Path

import pytest

from finetune_server.processors import usable_processors
from finetune_server.settings import UnusableKey, parse_settings

pytestmark = pytest.mark.unit

NEEDED = ["--model-dir", "/model", "--served-name", "support-bot"]
ALL = len(os.sched_getaffinity(0))


def test_defaults() -> None:
    """Only the model and its name must be given; the key comes from the environment."""
    settings = parse_settings(NEEDED, {"FINETUNE_API_KEY": "k"})
    assert (settings.port, settings.max_concurrency, settings.max_context, settings.precision) == (8080, 8, None, "fp32")
    assert settings.api_key == "k"
    assert parse_settings(NEEDED, {}).api_key is None


@pytest.mark.parametrize("given", ["k3y", "k3y\n", "  k3y\r\n"])
def test_white_space_around_a_key(given: str) -> None:
    """What an editor or `echo` leaves at the end of a Secret belongs to no key."""
    assert parse_settings(NEEDED, {"FINETUNE_API_KEY": given}).api_key == "k3y"


@pytest.mark.parametrize(
    "environment, says",
    [
        (
            {"FINETUNE_API_KEY": ""},
            "the variable FINETUNE_API_KEY is empty: write the API key into it, or remove it to serve",
        ),
        (
            {"FINETUNE_API_KEY": " \n", "FINETUNE_API_KEY_SECRET": "bot"},
            "the key api-key of Secret bot .* and delete the pods",
        ),
        ({"FINETUNE_API_KEY_SECRET": "bot"}, "the key api-key of Secret bot .* is empty"),
        ({"FINETUNE_API_KEY": "two words"}, "holds characters that an Authorization header cannot have"),
        ({"FINETUNE_API_KEY": "schl\u00fcssel"}, "holds characters that an Authorization header cannot have"),
    ],
)
def test_a_key_that_cannot_be(environment: dict[str, str], says: str) -> None:
    """A server that shall have a key never starts without one."""
    with pytest.raises(UnusableKey, match=says):
        parse_settings(NEEDED, environment)


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--max-concurrency", "0"], "0 is less than 1"),
        (["--max-context", "8"], "8 is less than 16"),
        (["--port", "http"], "invalid int value"),
        (["--max-queue", "x"], "invalid integer value"),
    ],
)
def test_wrong_arguments(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument ends the program with a message that names it."""
    with pytest.raises(SystemExit):
        parse_settings([*NEEDED, *arguments], {})
    message = capsys.readouterr().err
    assert arguments[0] in message
    assert text in message


@pytest.mark.parametrize("limit, expected", [("max 100000", ALL), ("50000 100000", 1), ("150000 100000", min(2, ALL)), (None, ALL)])
def test_processors(tmp_path: Path, limit: str | None, expected: int) -> None:
    """A container's CPU limit, rounded up, and never more than the machine has."""
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit + "\n")
    assert usable_processors(tmp_path / "cpu.max") == expected
