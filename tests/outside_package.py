"""A Python package from outside this project that adds an entry to a registry, found as if it were installed."""

import re
from pathlib import Path

EXTENDING = Path(__file__).parents[1] / "docs" / "extending.md"


def install(folder: Path, module: str, source: str, *, group: str, name: str, attribute: str = "ENTRY") -> None:
    """Writes `module` with its entry point of `group` into a folder, which must then be on the import path."""
    (folder / f"{module}.py").write_text(source)
    information = folder / f"{module}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{attribute}\n")


def documented_example(section: str) -> str:
    """The Python code in a section of docs/extending.md ("An engine")."""
    text = EXTENDING.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(code)
