"""docs/architecture.md lists the files that a reader opens to follow a job, a row and a request; the lists must be true and short."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/architecture.md"
SOURCES = ("api", "text", "operator", "trainer-image", "inference-image", "cli")
WAYS = {"The way of a job": 25, "The way of a row": 16, "The way of a request": 20}
"""Headings, and how many files each list may have."""
LINE = re.compile(r"(\d+)\. `([^`]+\.py)`(?:, `(\w+)`)?: \S")


@dataclass(frozen=True, slots=True)
class Stop:
    """One line of a list: "3. `operator/finetune_operator/edge.py`, `run`: what happens there"."""

    number: int
    path: str
    name: str


def way(heading: str) -> list[Stop]:
    """The numbered lines below a heading; empty when the page does not have the heading."""
    _, found, text = PAGE.read_text().partition(f"\n## {heading}\n")
    section = text.partition("\n## ")[0] if found else ""
    return [Stop(int(line[1]), line[2], line[3] or "") for line in map(LINE.match, section.splitlines()) if line]


def documented() -> list[str]:
    return [heading for heading in WAYS if f"\n## {heading}\n" in PAGE.read_text()]


@cache
def parsed(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


@cache
def imported(path: str) -> set[str]:
    """Paths of the modules of ours that a file imports directly."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            module = name.replace(".", "/")
            found |= {f"{source}/{module}{end}" for source in SOURCES for end in (".py", "/__init__.py")}
    return found


def defined(path: str) -> set[str]:
    """Names of the functions, methods and classes in a file."""
    return {node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


def test_the_way_of_a_job_is_documented() -> None:
    """The others follow the same form."""
    assert "The way of a job" in documented()


@pytest.mark.parametrize("heading", documented())
def test_a_way_is_numbered_and_short(heading: str) -> None:
    """No file is listed twice."""
    stops = way(heading)
    assert [stop.number for stop in stops] == list(range(1, len(stops) + 1))
    assert len({stop.path for stop in stops}) == len(stops)
    assert 1 < len(stops) <= WAYS[heading]


@pytest.mark.parametrize(("heading", "stop"), [(heading, stop) for heading in documented() for stop in way(heading)])
def test_every_stop_is_reached_from_an_earlier_one(heading: str, stop: Stop) -> None:
    """The file exists, and an earlier file of the list imports it or it defines the function that the list names."""
    assert (ROOT / stop.path).is_file()
    earlier = {path for before in way(heading)[: stop.number - 1] for path in imported(before.path)}
    assert stop.name in defined(stop.path) if stop.name else stop.path in earlier
