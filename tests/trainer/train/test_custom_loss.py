"""A user's own loss: what it returns is what is trained, however a step is divided; its errors name their line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.workspace.checksums import sums_of
from finetune_trainer.workspace.prepared import PinnedCode, Prepared
from tests.trainer.train.blackboard import train_language_model
from tests.trainer.train.conftest import run_here
from tests.trainer.train.labelled import ENCODER_VOCABULARY, LABELS, prepare_labelled
from tests.trainer.train.runs import FULL, Run

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
CLOSE = 1e-4
NAME = "configmap://losses/loss.py"
CROSS_ENTROPY = """
import torch.nn.functional as F

def loss(logits, labels):
    if labels.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1)
    return F.cross_entropy(logits, labels, reduction="none")
"""
EVERY_ANSWER_ALIKE = """
import torch
import torch.nn.functional as F

def loss(logits, labels, examples):
    return F.cross_entropy(logits, labels, reduction="none") / torch.bincount(examples)[examples]
"""
"""The sum over a step is the sum of the answers' means."""

IN_BACKWARD = """import torch

class Plain(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits):
        return logits[:, 0].clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * {}["weights"]

def loss(logits, labels):
    return Plain.apply(logits)
"""


def with_loss(run: Run, code: str) -> Run:
    """The same run with the code as prepare pins it."""
    run.workspace.custom_loss.write_text(code)
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    pinned = PinnedCode(name=NAME, function="loss", sha256="c0de")
    files = prepared.files | sums_of(run.workspace.root, [run.workspace.custom_loss])
    run.workspace.prepared.write_text(prepared.model_copy(update={"custom_loss": pinned, "files": files}).to_json())
    return run


def test_cross_entropy_of_the_user_is_that_of_the_trainer(new_run: Callable[..., Run]) -> None:
    """For language models: losses and norms of all steps."""
    run = with_loss(new_run(hyper={"total_steps": 5, "checkpoint_every": 100}), CROSS_ENTROPY)
    run_here(run)
    for step, (loss, norm) in zip(run.metrics(), train_language_model(run), strict=True):
        assert step.loss == pytest.approx(loss, abs=CLOSE), step
        assert step.grad_norm == pytest.approx(norm, rel=1e-4), step


@pytest.mark.parametrize("kind", LABELS)
def test_classifiers(kind: str, tmp_path: Path, encoder: Path) -> None:
    """One label, a label for each token, several labels."""
    losses = []
    for code in (None, CROSS_ENTROPY):
        hyper: dict[str, Any] = {"total_steps": 4, "checkpoint_every": 100, "method": FULL}
        workspace = prepare_labelled(tmp_path / str(bool(code)), encoder, kind, vocabulary=ENCODER_VOCABULARY, **hyper)
        run = Run(workspace, FULL, task=LABELS[kind][0])
        run_here(with_loss(run, code) if code else run)
        losses.append(run.losses())
    assert losses[0] == pytest.approx(losses[1], abs=CLOSE)


@pytest.mark.parametrize(("budget", "processes"), [(1, 1), (60, 1), (1000, 1), (60, 2)])
def test_it_knows_the_examples_however_a_step_is_divided(budget: int, processes: int, new_run: Callable[..., Run]) -> None:
    """Packed, alone, and on two processes of which one has a filler: the mean of every answer, summed."""
    hyper = {"total_steps": 5, "micro_batch_tokens": budget, "checkpoint_every": 100}
    run = with_loss(new_run(hyper=hyper, processes=processes), EVERY_ANSWER_ALIKE)
    assert run.attempt() == ExitCode.OK
    plainly = train_language_model(run, weigh=lambda losses: losses / len(losses))
    assert run.losses() == pytest.approx([loss for loss, _ in plainly], abs=CLOSE)


# (code, what is said of it)
BROKEN = {
    "import not_installed": "line 1: ModuleNotFoundError: No module named 'not_installed'",
    "loss = 2": "loss is of type int, not a function",
    "from math import pi": "AttributeError: module 'custom_loss' has no attribute 'loss'",
    "def loss(a, b):\n    return a.sum()": "function loss returned a tensor (): return a tensor (",
    "def loss(a, b):\n    return a.sum(0)[:1]": "function loss returned a tensor (1,)",
    "def loss(a, b):\n    return 1.0": "function loss returned float: return a tensor (",
    "def loss(a, b):\n    return b": "function loss returned a tensor of torch.int64",
    "def loss(a, b):\n    return a.detach()[:, 0]": "returned losses without a gradient",
    "def inner(a):\n    return a[:, 9999]\n\ndef loss(a, b):\n    return inner(a)": "line 2: IndexError: index 9999 is out of bounds",
    "def loss(a, b):\n    exit(0)": "line 2: SystemExit: 0",
    "def loss(a, b):\n    raise ValueError('one\\ntwo')": "line 2: ValueError: one; the pod's log has the details",
    "def loss(a, b):\n    raise RuntimeError('igloo')": "line 2: RuntimeError: igloo",
    "def loss(a, b):\n    raise TimeoutError('no answer')": "line 2: TimeoutError: no answer",
    IN_BACKWARD: "line 10: KeyError: 'weights'",
}


@pytest.mark.parametrize("code", BROKEN)
def test_what_is_wrong_with_it_is_told_with_its_line(code: str, new_run: Callable[..., Run]) -> None:
    """By the user's name for the file; a new attempt would not help."""
    with pytest.raises(StageFailure) as caught:
        run_here(with_loss(new_run(hyper={"total_steps": 2}), code))
    error = caught.value.error
    assert (caught.value.exit_code, error.code, error.param) == (ExitCode.INVALID_INPUT, "CustomLossFailed", "method.sft.customLoss")
    assert error.message.startswith(NAME) and BROKEN[code] in error.message


def test_a_loss_that_is_not_finite_is_a_divergence(new_run: Callable[..., Run]) -> None:
    """With the rows that it comes from, as always."""
    with pytest.raises(StageFailure) as caught:
        run_here(with_loss(new_run(hyper={"total_steps": 2}), "def loss(a, b):\n    return a[:, 0] / 0"))
    assert caught.value.exit_code == ExitCode.DIVERGED


MEMORY = "raise torch.OutOfMemoryError('CUDA out of memory')"
WITHOUT_MEMORY = [f"import torch\n\ndef loss(a, b):\n    {MEMORY}", IN_BACKWARD.replace("return gradient *", f"{MEMORY} #")]


@pytest.mark.parametrize("code", WITHOUT_MEMORY, ids=["forward", "backward"])
def test_memory_that_its_loss_does_not_find_is_no_mistake_of_the_user(code: str, new_run: Callable[..., Run]) -> None:
    """Half of a micro-batch may fit."""
    with pytest.raises(StageFailure) as caught:
        run_here(with_loss(new_run(hyper={"total_steps": 2}), code))
    assert caught.value.exit_code == ExitCode.OUT_OF_MEMORY
