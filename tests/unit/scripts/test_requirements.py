"""The images' requirement files: pip takes a package only when its file has one of these checksums."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DOCKERFILES = sorted(path for folder in ("operator", "inference-image", "trainer-image") for path in (ROOT / folder).glob("*Dockerfile"))
INSTALLING = [path for path in DOCKERFILES if "pip install" in path.read_text()]
PINNED = re.compile(r"[a-z0-9-]+==\S+( --hash=sha256:[0-9a-f]{64})+")


@pytest.mark.parametrize("dockerfile", INSTALLING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_package_of_an_image_has_checksums(dockerfile: Path) -> None:
    """Each is one version with its checksums, from no particular address."""
    text = dockerfile.read_text()
    assert "--require-hashes -r /requirements.txt" in text
    (source,) = re.findall(r"^COPY (requirements/\S+) /requirements.txt$", text, re.MULTILINE)
    packages = re.sub(r" \\\n +", " ", (ROOT / source).read_text()).splitlines()
    assert packages
    assert [package for package in packages if not PINNED.fullmatch(package)] == []
