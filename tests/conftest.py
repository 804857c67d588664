"""Fixtures that every test folder may use."""

import subprocess
import sys
from pathlib import Path

import pytest

ASSETS_PROGRAM = Path(__file__).parents[1] / "examples" / "assets.py"


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder of the small real models and the data (examples/assets.py says what is in it); made at the first use."""
    output = subprocess.run([sys.executable, ASSETS_PROGRAM], check=True, capture_output=True, text=True).stdout
    return Path(output.splitlines()[-1])
