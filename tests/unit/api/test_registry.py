"""Entries by name, the project's own and those of installed packages."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from finetune_api.registry import Registry
from tests.outside_package import install


@dataclass(frozen=True)
class Colour:
    """An entry."""

    name: str


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    """A package with one entry of group `test.colours`."""
    source = f"from tests.unit.api.test_registry import Colour\nENTRY = Colour({name!r})\n"
    install(folder, module, source, group="test.colours", name=name)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, module, raising=False)


def test_own_entries_in_their_order() -> None:
    """Entries are found by name and listed in the order in which they were given."""
    colours = Registry("colour", "test.none", Colour("red"), Colour("blue"))
    assert (list(colours), colours["blue"]) == (["red", "blue"], Colour("blue"))


def test_an_unknown_name_says_which_are_known() -> None:
    """The error names what was asked for, of which kind, and all that there is."""
    with pytest.raises(KeyError, match="unknown colour 'green'; known: red, blue"):
        Registry("colour", "test.none", Colour("red"), Colour("blue"))["green"]


def test_an_installed_package_adds_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an entry point of the group names is an entry as well, after the own ones."""
    installed(tmp_path, monkeypatch, "toy_colour_green", "green")
    assert list(Registry("colour", "test.colours", Colour("red"))) == ["red", "green"]


def test_a_name_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package cannot replace an entry of the same name."""
    installed(tmp_path, monkeypatch, "toy_colour_red", "red")
    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        list(Registry("colour", "test.colours", Colour("red")))
