"""A user's own loss, run: the code that prepare pinned, called for each micro-batch.

It returns a loss for each prediction, and the loop divides their sum by what the whole step supervises, so that no loss depends on
the number of processes, of micro-batches or of packed examples.
"""

import inspect
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

import torch

from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.objectives.custom_code import EXAMPLES, PARAM
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace

FAILED = "CustomLossFailed"
MODULE = "custom_loss"
"""Name of the user's module."""


class CustomLoss:
    """A function of the user, whose errors name the line of the file."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        """`file` is what messages call the file."""
        self._function, self._file = function, file
        self._takes_examples = EXAMPLES in inspect.signature(function).parameters

    def sum(self, logits: torch.Tensor, labels: torch.Tensor, examples: torch.Tensor) -> torch.Tensor:
        """Sum of the losses of N predictions, a scalar in fp32: logits (N, classes) fp32; labels (N,) int64, or (N, classes) fp32 where
        several may hold; examples (N,) int64, rising from 0: the example that each prediction belongs to."""
        if not len(labels):  # of a filler: it is there to be computed on every rank
            return logits.sum() * 0.0
        try:
            losses = self._function(logits, labels, **({EXAMPLES: examples} if self._takes_examples else {}))
        except (Exception, SystemExit) as exc:
            raise failed(exc, self._file) from exc
        if found := shortcoming(losses, len(labels)):
            raise invalid(FAILED, f"{self._file}: function {self._function.__name__} {found}", param=PARAM)
        total: torch.Tensor = losses.float().sum()
        return total


def shortcoming(losses: Any, count: int) -> str:
    """What is wrong with the answer of a function; empty if nothing is."""
    wanted = f"return a tensor ({count},), a loss for each of the {count} predictions, neither summed nor averaged"
    if not isinstance(losses, torch.Tensor):
        return f"returned {type(losses).__name__}: {wanted}"
    if losses.shape != (count,):
        return f"returned a tensor {tuple(losses.shape)}: {wanted}"
    if not losses.is_floating_point():
        return f"returned a tensor of {losses.dtype}: {wanted}"
    return "" if losses.requires_grad else "returned losses without a gradient: compute them from logits, with operations of torch"


def load_custom_loss(prepared: Prepared, workspace: Workspace) -> CustomLoss | None:
    """Runs the pinned code; None for a run without its own loss. Raises StageFailure for code that does not run."""
    pinned = prepared.custom_loss
    if pinned is None:
        return None
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module  # where dataclasses and pickle look
    try:
        exec(compile(workspace.custom_loss.read_bytes(), pinned.name, "exec"), module.__dict__)
        function = getattr(module, pinned.function)
    except (Exception, SystemExit) as exc:
        raise failed(exc, pinned.name) from exc
    if not callable(function):
        raise invalid(FAILED, f"{pinned.name}: {pinned.function} is of type {type(function).__name__}, not a function", param=PARAM)
    return CustomLoss(function, pinned.name)


def file_in(exc: BaseException) -> str | None:
    """The file of a user's own loss if its code took part in an error: in the backward pass, nothing else says whose error it is."""
    frames = [frame for frame, _ in traceback.walk_tb(exc.__traceback__) if frame.f_globals.get("__name__") == MODULE]
    return frames[-1].f_code.co_filename if frames else None


def failed(exc: BaseException, file: str) -> StageFailure:
    """The error with the last line of the file that took part in it."""
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == file]
    where = f"{file}, line {lines[-1]}" if lines else file
    message = (str(exc).splitlines() or [""])[0]
    return invalid(FAILED, f"{where}: {type(exc).__name__}{f': {message}' if message else ''}; the pod's log has the details", param=PARAM)
