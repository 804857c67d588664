"""Fixtures that every test folder may use."""

import gc
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
ASSETS_PROGRAM = TESTS.parent / "examples" / "assets"

# A test must not fail because the machine is busy.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test with its phase, the folder below tests/: `pytest -m "unit or cluster"`."""
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])


def pytest_collection_finish() -> None:
    """Takes the libraries that are loaded out of the reach of the garbage collector, which every training in this process calls: looking
    at their 500,000 objects takes a sixth of the time of a training of a few steps."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder of the small real models and the data (examples/assets says what is in it); made at the first use."""
    output = subprocess.run([sys.executable, ASSETS_PROGRAM], check=True, capture_output=True, text=True).stdout
    return Path(output.splitlines()[-1])
