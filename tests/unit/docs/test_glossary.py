"""docs/glossary.md: every term has its home, and a name that modules share has one meaning."""

import ast
import importlib
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/glossary.md").read_text()
HOMES = re.findall(r"^\| ([^|]+?) \|.*\| `([\w.]+)` \|$", PAGE, re.MULTILINE)
SHARED = ("api/finetune_api", "text/finetune_text")
PROGRAMS = ("operator/finetune_operator", "trainer-image/finetune_trainer", "inference-image/finetune_server", "cli/finetune_cli")


@pytest.mark.parametrize(("term", "home"), HOMES, ids=[term for term, _ in HOMES])
def test_a_term_has_its_home(term: str, home: str) -> None:
    """The type named beside the term exists."""
    module, _, name = home.rpartition(".")
    assert hasattr(importlib.import_module(module), name), term


@cache
def modules(part: str) -> dict[str, ast.Module]:
    """Of a part, by dotted name."""
    files = [(path, path.relative_to(ROOT / part).with_suffix("").parts) for path in (ROOT / part).rglob("*.py")]
    return {".".join((Path(part).name, *inner)): ast.parse(path.read_text()) for path, inner in files}


def defined(module: ast.Module) -> set[str]:
    """Public classes, functions and constants."""
    names: set[str] = set()
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def imported(trees: dict[str, ast.Module]) -> set[tuple[str, str]]:
    """(module, name) of all that one module takes from another."""
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    return {(node.module, alias.name) for node in nodes if isinstance(node, ast.ImportFrom) and node.module for alias in node.names}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_name_has_one_meaning(program: str) -> None:
    """What modules import from each other has one definition in a program and the packages that it shares with the others."""
    trees = {name: tree for part in (*SHARED, program) for name, tree in modules(part).items()}
    shared = imported(trees)
    homes: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees.items():
        for name in defined(tree):
            if (module, name) in shared:
                homes[name].append(module)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
