"""The rooms of the tree: every package says what is in it, none is crowded, and the unit tests are laid out alike."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARTS = (
    "api/finetune_api",
    "text/finetune_text",
    "operator/finetune_operator",
    "trainer-image/finetune_trainer",
    "inference-image/finetune_server",
    "cli/finetune_cli",
)
ROOMS = sorted(page.parent.relative_to(ROOT) for part in PARTS for page in (ROOT / part).rglob("__init__.py"))
MOST = 16
TESTS = ROOT / "tests" / "unit"
NOT_OF_A_PACKAGE = {"chart", "docs", "scripts"}
TESTS_OF = {"api": PARTS[0], "text": PARTS[1], "operator": PARTS[2], "server": PARTS[4], "cli": PARTS[5]}


def contents(room: Path) -> list[str]:
    """Modules as file names and rooms inside of it with a slash, but for the first page and `__main__`."""
    files = [path.name for path in (ROOT / room).glob("*.py") if path.stem not in ("__init__", "__main__")]
    return sorted(files + [f"{path.parent.name}/" for path in (ROOT / room).glob("*/__init__.py")])


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_the_first_page_lists_what_is_in_the_room(room: Path) -> None:
    """Its docstring names every module and every room inside, and none that is not there."""
    page = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text())) or ""
    listed = {word.split("/")[0] + "/" if "/" in word else word for word in re.findall(r"\w+\.py\b|\w+/", page)}
    listed |= {f"{word}.py" for word in re.findall(r"`(\w+)`", page) if f"{word}.py" in contents(room)}
    assert [name for name in contents(room) if name not in listed] == []
    assert [name for name in listed if name.endswith(".py") and name not in contents(room)] == []


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_no_room_is_crowded(room: Path) -> None:
    """A folder has about a dozen files."""
    assert len([name for name in contents(room) if name.endswith(".py")]) <= MOST


def test_unit_tests_follow_the_packages() -> None:
    """A folder of unit tests has the path of the package that it tests; those of the trainer lie at the top."""
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")} - {Path(), *map(Path, NOT_OF_A_PACKAGE)}
    rooms = set(ROOMS) | {Path(part) for part in PARTS}
    tested = {folder: Path(TESTS_OF.get(folder.parts[0], PARTS[3]), *folder.parts[folder.parts[0] in TESTS_OF :]) for folder in folders}
    assert {str(folder) for folder, room in tested.items() if room not in rooms} == set()


def test_no_test_patches_a_private_name() -> None:
    """What monkeypatch sets has no leading underscore: a test that reaches into a module holds its inside in place."""
    private = re.compile(r"""setattr\(\s*(?:"[\w.]*\._\w+"|[\w.]+,\s*"_\w+")""")
    tests = (ROOT / "tests").rglob("*.py")
    assert [path.relative_to(ROOT) for path in tests if path != Path(__file__) and private.search(path.read_text())] == []


def test_unit_tests_import_no_torch(request: pytest.FixtureRequest) -> None:
    """It takes longer to import than most of them to run: what needs it is in tests/trainer."""
    if not all(item.path.is_relative_to(TESTS) for item in request.session.items):
        pytest.skip("the tests of other folders may have imported it")
    assert "torch" not in sys.modules
