"""What docs/serving.md says is so: its commands and programs run against real servers."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from finetune_server.settings import parse_settings
from tests.server.running_server import NAME, ROOT, RunningServer

pytestmark = pytest.mark.server

PAGE = (ROOT / "docs/serving.md").read_text()


def blocks(section: str, language: str) -> list[str]:
    """The code blocks of a section."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0] if section else PAGE.split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_start() -> None:
    """The command's arguments are the server's."""
    (command,) = blocks("", "sh")
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "finetune_server"]
    assert parse_settings(words[3:], {}).served_name == NAME


@pytest.mark.parametrize("section, server", [("Classify texts", "sequence_server"), ("Classify tokens", "token_server")])
def test_the_commands(section: str, server: str, request: pytest.FixtureRequest) -> None:
    """Each curl command is answered with the fields that the page shows."""
    running: RunningServer = request.getfixturevalue(server)
    (command,), (shown,) = blocks(section, "sh"), blocks(section, "json")
    answer = subprocess.run(
        ["bash", "-c", command], env=os.environ | {"URL": running.url}, capture_output=True, text=True, check=True
    ).stdout
    fields = set(re.findall(r'"(\w+)":', shown)) - {"billing", "shipping", "other"}
    assert fields <= set(re.findall(r'"(\w+)":', answer))


def test_the_program(tool_server: RunningServer) -> None:
    """The program with tools runs."""
    (program,) = blocks("Chat with tools", "python")
    environment = os.environ | {"OPENAI_BASE_URL": f"{tool_server.url}/v1", "OPENAI_API_KEY": "unused"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
