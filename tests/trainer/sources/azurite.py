"""Azurite, Microsoft's own emulator of Azure's storage: installed once by npm into the cache of the project, outside the tree."""

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION = "3.35.0"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that everybody knows: every Azurite has it."""


def program() -> Path:
    """Its entry; skips the test where there is no npm, or npm cannot install it."""
    cache = os.environ.get("FINETUNE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "finetune-operator"
    folder = Path(cache) / f"azurite-{VERSION}"
    making = folder.with_suffix(".making")
    making.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            install(making)
            making.rename(folder)
    return folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def install(folder: Path) -> None:
    """Puts Azurite and all that it needs there."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Azurite needs node and npm, which this machine does not have")
    folder.mkdir(exist_ok=True)
    quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
    command: list[str | Path] = ["npm", "install", "--prefix", folder, *quiet, f"azurite@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install Azurite: {done.stderr[-300:]}")


@contextmanager
def running() -> Iterator[str]:
    """Connection string of a server that keeps everything in memory."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobPort", str(port)]
    with subprocess.Popen(["node", program(), *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if not any("successfully listens" in line for line in process.stdout):
                pytest.fail("Azurite ended before it listened")
            yield connection(port)
        finally:
            process.terminate()


def connection(port: int, key: str = KEY) -> str:
    """Connection string of a server on a port of this machine."""
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={endpoint};"
