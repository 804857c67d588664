"""The code of a user's own loss as prepare reads it: what cannot work is refused with file and line, without running it."""

from pathlib import Path
from typing import Any

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure
from finetune_trainer.objectives.custom_code import LARGEST, read_custom_code
from finetune_trainer.objectives.sft import SFT
from tests.unit.prepare.run import run_config

NAME = "configmap://losses/loss.py"
GOOD = "def loss(logits, labels):\n    return logits[:, 0]\n"


def config(folder: Path, code: str | bytes, **settings: Any) -> RunConfig:
    """A run whose loss is this code."""
    file = folder / "loss.py"
    file.write_bytes(code if isinstance(code, bytes) else code.encode())
    return run_config(folder, method={"sft": {"customLoss": {"uri": str(file), "shownAs": NAME} | settings}})


# (code, what is said of it)
REFUSED = {
    "def loss(logits, labels)\n": "loss.py, line 1: is not Python: expected ':'",
    "\n\n  x = 1": "loss.py, line 3: is not Python: unexpected indent",
    "": "there is no function 'loss': it defines no function",
    "def losses(logits, labels): ...": "there is no function 'loss' (did you mean 'losses'?): it defines 'losses'",
    "def other(logits, labels):\n    loss = 1": "there is no function 'loss'",
    "x = 1\n\ndef loss(logits):\n    ...": "loss.py, line 3: function loss takes 1 of 2 arguments: it is called with logits and labels",
    "def loss(logits, labels, weight): ...": "function loss requires the argument 'weight'",
    "def loss(logits, labels, *, weight): ...": "function loss requires the argument 'weight'",
    "async def loss(logits, labels): ...": "is async: define it with def",
    "def loss(logits, labels, examples, /): ...": "cannot take examples by name: make it a parameter behind logits and labels",
    "def loss(logits, labels, examples=None, /): ...": "function loss cannot take examples by name",
    "def loss(logits, examples): ...": "function loss cannot take examples by name",
    "def loss(*examples): ...": "function loss cannot take examples by name",
    b"\xff": "is not Python",
    "#" * (LARGEST + 1): "has more than 1,048,576 bytes",
}
TAKEN = [
    GOOD,
    "def loss(logits, labels, examples, *, weight=2): ...",
    "def loss(logits, labels, /, examples): ...",
    "def loss(logits, labels, **examples): ...",
    "def loss(*tensors): ...",
    "loss = lambda logits, labels: logits[:, 0]",
    "from losses import focal as loss",
    "class loss: ...",
    "try:\n    from fast import loss\nexcept ImportError:\n    def loss(logits, labels): ...",
    "raise SystemExit\n" + GOOD,
]


@pytest.mark.parametrize("code", REFUSED)
def test_code_that_cannot_work_is_refused(tmp_path: Path, code: str | bytes) -> None:
    """With the file by the user's name for it, the line, and what would work."""
    with pytest.raises(StageFailure) as caught:
        read_custom_code(config(tmp_path, code))
    error = caught.value.error
    assert (caught.value.exit_code, error.code, error.param) == (ExitCode.INVALID_INPUT, "InvalidCustomLoss", "method.sft.customLoss")
    assert error.message.startswith(NAME) and REFUSED[code] in error.message


@pytest.mark.parametrize("code", TAKEN)
def test_code_that_may_work_is_taken(tmp_path: Path, code: str) -> None:
    """A name that is not defined by def is looked at when the training starts: nothing is run here."""
    found = read_custom_code(config(tmp_path, code))
    assert found is not None
    assert (found.source, found.name, found.function) == (code.encode(), NAME, "loss")


def test_the_function_may_have_another_name(tmp_path: Path) -> None:
    """The lineage has file and function."""
    run = config(tmp_path, GOOD.replace("loss", "mine"), function="mine")
    assert read_custom_code(run) is not None
    assert SFT.settings(run.method) == {"sft.customLoss": f"mine of {NAME}"}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Its neighbours are named."""
    run = config(tmp_path, GOOD, uri=str(tmp_path / "los.py"))
    with pytest.raises(StageFailure, match=r"holds: loss\.py"):
        read_custom_code(run)


def test_most_runs_have_none(tmp_path: Path) -> None:
    """Nothing is read."""
    assert read_custom_code(run_config(tmp_path)) is None
