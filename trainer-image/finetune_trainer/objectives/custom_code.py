"""The code of a user's own loss, as prepare sees it: read once, checked, and pinned in the workspace. It is not run here.

prepare has the credentials of the sources, and no GPU waits for it: what can be said of the code without running it is said here.
"""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path

from finetune_api.run_config import RunConfig, RunCustomLoss
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.objectives.settings import custom_loss_of
from finetune_trainer.sources.local import local_file, local_path
from finetune_trainer.sources.subject import Subject
from finetune_trainer.tasks.explain.problem import did_you_mean, listed

PARAM = "method.sft.customLoss"
LARGEST = 1 << 20
"""Bytes: what a ConfigMap can hold."""
EXAMPLES = "examples"
"""A function with a parameter of this name is also given which example each prediction belongs to."""
CONTRACT = f"it is called with logits and labels and, if it has a parameter of that name, {EXAMPLES}"


@dataclass(frozen=True)
class CustomCode:
    """Code that has a function of the right name and parameters."""

    source: bytes
    name: str
    """As messages call the file: configmap://losses/loss.py."""
    function: str

    @property
    def sha256(self) -> str:
        """In hex."""
        return hashlib.sha256(self.source).hexdigest()


def read_custom_code(config: RunConfig) -> CustomCode | None:
    """None for a run without its own loss. Raises StageFailure for code that cannot be read or cannot work."""
    loss = custom_loss_of(config.method)
    if loss is None:
        return None
    source = read(local_file(local_path(loss.uri), Subject(loss.name, PARAM, "CustomLossNotFound")), loss.name)
    check_function(parsed(source, loss.name), loss)
    return CustomCode(source, loss.name, loss.function)


def read(path: Path, name: str) -> bytes:
    """The content of the file."""
    with open(path, "rb") as file:
        source = file.read(LARGEST + 1)
    if len(source) > LARGEST:
        raise refused(f"{name}: the file has more than {LARGEST:,} bytes")
    return source


def parsed(source: bytes, name: str) -> ast.Module:
    """The code as a tree."""
    try:
        return ast.parse(source, name)
    except SyntaxError as exc:
        raise refused(f"{name}, line {exc.lineno}: is not Python: {exc.msg}") from exc
    except ValueError as exc:
        raise refused(f"{name}: is not Python: {exc}") from exc


def check_function(module: ast.Module, loss: RunCustomLoss) -> None:
    """Whether the function is there and can be called. One that is not defined by `def` is taken as it is."""
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    found = functions.get(loss.function)
    if found is None:
        if loss.function in assigned(module):
            return
        known = f"it defines {listed(functions)}" if functions else "it defines no function"
        raise refused(f"{loss.name}: there is no function {loss.function!r}{did_you_mean(loss.function, functions)}: {known}")
    where = f"{loss.name}, line {found.lineno}: function {loss.function}"
    if isinstance(found, ast.AsyncFunctionDef):
        raise refused(f"{where} is async: define it with def")
    places, named = [*found.args.posonlyargs, *found.args.args], found.args
    if len(places) < 2 and not named.vararg:
        raise refused(f"{where} takes {len(places)} of 2 arguments: {CONTRACT}")
    required = [argument.arg for argument in places[2 : len(places) - len(named.defaults)]]
    required += [argument.arg for argument, default in zip(named.kwonlyargs, named.kw_defaults, strict=True) if default is None]
    if more := [name for name in required if name != EXAMPLES]:
        raise refused(f"{where} requires the argument {more[0]!r}: {CONTRACT}")
    if EXAMPLES in {argument.arg for argument in (*named.posonlyargs, *places[:2], *([named.vararg] if named.vararg else []))}:
        raise refused(f"{where} cannot take {EXAMPLES} by name: make it a parameter behind logits and labels that no '/' follows")


def assigned(module: ast.Module) -> set[str]:
    """Names that a module imports or assigns, or defines in a block such as try; not what functions and classes have in them."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.alias):
            found.add(node.asname or node.name.split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return found


def refused(what: str) -> StageFailure:
    """InvalidCustomLoss."""
    return invalid("InvalidCustomLoss", what, param=PARAM)
