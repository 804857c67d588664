"""The log of a stage outlives its pod."""

import json
import sys
from pathlib import Path

import pytest

from finetune_api.progress import Progress
from finetune_trainer.__main__ import main
from finetune_trainer.stage import log_file
from finetune_trainer.stage.log_file import kept_log

pytestmark = pytest.mark.unit


def test_lines_go_to_the_file_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both streams, without the progress lines; what was there before stays, and nothing of the stream is lost."""
    path = tmp_path / "logs" / "train-1.log"
    for number in range(2):
        with kept_log(path):
            print("line", end=" ")
            print(number)
            print(Progress(stage="train", activity="training").line())
            print("train failed", file=sys.stderr, flush=True)
            print("not whole", end="")
    assert path.read_text() == "".join(f"line {number}\ntrain failed\nnot whole\n" for number in range(2))
    assert capsys.readouterr().out.count("not whole") == 2


def test_of_a_long_log_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In two files of a limited size: a library that says something with every step must not fill the workspace."""
    monkeypatch.setattr(log_file, "MOST", 1000)
    path = tmp_path / "prepare-1.log"
    with kept_log(path):
        for number in range(10_000):
            print(f"line {number}")
    kept = (tmp_path / "prepare-1-before.log").read_text() + path.read_text()
    assert kept.splitlines() == [f"line {number}" for number in range(10_000)][-len(kept.splitlines()) :]
    assert 1000 <= len(kept) <= 2100
    assert sorted(file.name for file in tmp_path.iterdir()) == ["prepare-1-before.log", "prepare-1.log"]


@pytest.mark.parametrize(
    ("pieces", "line"),
    [(["\r 1 %", "\r 2 %", "\n"], " 2 %"), ([" 1 %\r", " 2 %\r", "\n"], " 2 %"), (["said\r\n"], "said"), (["\r", "said", "\n"], "said")],
)
def test_a_line_that_is_written_over_is_kept_once(pieces: list[str], line: str, tmp_path: Path) -> None:
    """A progress bar of hours is one line."""
    with kept_log(tmp_path / "log"):
        for piece in pieces:
            sys.stderr.write(piece)
    assert (tmp_path / "log").read_text() == f"{line}\n"


def test_a_workspace_that_takes_no_file_does_not_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stage goes on, and says there what is wrong with it."""
    (tmp_path / "logs").write_text("a file")
    with kept_log(tmp_path / "logs" / "train-1.log"):
        print("still here")
    assert capsys.readouterr().out == "still here\n"


def test_a_stage_that_fails_leaves_its_words(tmp_path: Path) -> None:
    """By stage and attempt, in the workspace."""
    rows = {"uri": str(tmp_path / "absent.jsonl")}
    config = {
        "job": {"name": "tune"}, "base": {"source": {"uri": str(tmp_path / "absent")}}, "dataset": {"train": rows, "split": {}},
        "outputModel": "bot", "paths": {"workspace": str(tmp_path / "workspace"), "model": str(tmp_path / "model")},
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(config))
    code = main(["prepare", "--run", str(tmp_path / "run.json"), "--attempt", "2"])
    assert code != 0
    assert (tmp_path / "workspace" / "logs" / "prepare-2.log").read_text().startswith("prepare failed: ")
