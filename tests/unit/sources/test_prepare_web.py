"""Prepare with its rows on a web server: what the administrator allows reaches the download, and the words reach the result."""

from pathlib import Path
from typing import Any

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.main import prepare
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.data.rows.samples import good
from tests.unit.prepare.base_folder import make_base
from tests.unit.prepare.run import run_config
from tests.unit.sources.web_server import Answer, WebServer, serving

ROWS = b"\n".join(map(good, range(40)))
ALLOWED = {"allowedPrivate": ["127.0.0.0/8"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base, and the rows on this machine."""
    make_base(tmp_path / "base")
    (tmp_path / "train.jsonl").write_bytes(ROWS)
    return tmp_path


def run(folder: Path, server: WebServer, network: dict[str, Any]) -> Any:
    """The stage's summary."""
    dataset = {"train": {"uri": server.url("/train.jsonl"), "shownAs": server.url("/train.jsonl")}, "split": {}}
    return prepare(run_config(folder, dataset=dataset, network=network), 1).prepare


def test_a_web_server_gives_what_a_local_file_gives(folder: Path) -> None:
    """The source makes no difference to the rows; the download is cleared away."""
    with serving() as server:
        server.paths["/train.jsonl"] = Answer(body=ROWS)
        remote = run(folder, server, ALLOWED)
    local = prepare(run_config(folder), 1).prepare
    assert local is not None
    assert remote.dataset.digest == local.dataset.digest
    assert not Workspace(folder / "workspace").downloads.exists()


@pytest.mark.parametrize(
    ("network", "answer", "code", "words"),
    [
        ({}, Answer(body=ROWS), "InvalidSource", "127.0.0.1 is a loopback address"),
        (ALLOWED, Answer(body=b"<html>", headers={"Content-Type": "text/html"}), "InvalidSource", "a web page (text/html)"),
        (ALLOWED, Answer(404), "DataNotFound", "404 Not Found"),
    ],
)
def test_what_a_web_server_must_not_be_or_answer(folder: Path, network: dict[str, Any], answer: Answer, code: str, words: str) -> None:
    """The stage ends with the source's words and the field that names it."""
    with serving() as server:
        server.paths["/train.jsonl"] = answer
        with pytest.raises(StageFailure) as caught:
            run(folder, server, network)
    assert (caught.value.exit_code, caught.value.error.code) == (ExitCode.INVALID_INPUT, code)
    assert caught.value.error.param == "dataset.train.source"
    assert words in caught.value.error.message
