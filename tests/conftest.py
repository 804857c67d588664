"""Fixtures that every test folder may use."""

from pathlib import Path

import pytest

from examples.assets import default_folder, make_assets


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder of the small real models and the data (examples/assets.py says what is in it); made at the first use."""
    return make_assets(default_folder())
