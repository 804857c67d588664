"""Hashes of rows."""

from pathlib import Path

from tests.unit.data.profile.files import profiled

LINES = [
    '{"text": "é", "label": "a"}',
    '{ "label":"a", "text":"\\u00e9"}',
    '{"text": "e", "label": "a"}',
]


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    """Spaces, escapes and key order make no difference; the seed and every word do."""
    (tmp_path / "a").write_text("\n".join(LINES), encoding="utf-8")
    hashes = profiled(tmp_path / "a", seed=1).profile.hashes
    assert hashes[0] == hashes[1] != hashes[2]
    assert profiled(tmp_path / "a", seed=2).profile.hashes[0] != hashes[0]


def test_a_fingerprint_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """A number written down once: a change would move rows between the sides of existing jobs."""
    (tmp_path / "a").write_text("\n".join(LINES), encoding="utf-8")
    assert profiled(tmp_path / "a", seed=42).profile.hashes.tolist()[:2] == [6827745923066504338, 6827745923066504338]
