"""Skips what this machine cannot run, with the reason, and writes the table of what was measured."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.distributed.settings import library_settings
from tests.gpu.table import Figures, Row, Table

# As the launcher does for its ranks, and a work space with which cuBLAS adds in the same order every time: torch reads them once.
os.environ |= library_settings(os.environ) | {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
TABLE = pytest.StashKey[Table]()
FIGURES = pytest.StashKey[Figures]()
FOLDER_VARIABLE = "FINETUNE_GPU_TABLE"
"""Environment variable: the folder of the table, build/gpu by default."""


def pytest_configure(config: pytest.Config) -> None:
    from tests.gpu.hardware import machine  # it imports torch

    config.stash[TABLE] = Table(machine())


def pytest_runtest_setup(item: pytest.Item) -> None:
    from tests.gpu.hardware import reason_to_skip

    asked = item.get_closest_marker("gpus")
    count = asked.args[0] if asked is not None else 1
    if reason := reason_to_skip(count, bf16=item.get_closest_marker("bf16") is not None):
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: Any = yield
    if report.when == "call" or report.skipped or report.failed:
        reason = report.longrepr[2].removeprefix("Skipped: ") if report.skipped and isinstance(report.longrepr, tuple) else ""
        row = Row(f"{item.path.stem.removeprefix('test_')}: {item.name}", report.outcome, reason, item.stash.get(FIGURES, {}))
        item.config.stash[TABLE].rows.append(row)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    table = config.stash[TABLE]
    if not table.rows:
        return
    folder = Path(os.environ.get(FOLDER_VARIABLE, config.rootpath / "build" / "gpu"))
    table.write(folder)
    terminalreporter.section("GPU tests")
    terminalreporter.write_line(table.markdown())
    terminalreporter.write_line(f"written to {folder}/table.json and {folder}/table.md")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Notes measured numbers for the table, by name."""
    found: Figures = request.node.stash.setdefault(FIGURES, {})

    def note(**measured: float | str) -> None:
        found.update(measured)

    return note


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 0.1 billion random parameters."""
    from tests.gpu.models import SMALL, random_llama

    return random_llama(tmp_path_factory.mktemp("small") / "llama-0.1b", SMALL)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 0.5 billion random parameters."""
    from tests.gpu.models import LARGE, random_llama

    return random_llama(tmp_path_factory.mktemp("large") / "llama-0.5b", LARGE)
