"""Fingerprints of rows."""

from pathlib import Path

from finetune_trainer.data.rows.conversation import canonical, decode
from finetune_trainer.data.survey.survey import RowFile, fingerprint
from tests.unit.prepare.rows import good


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    """Spaces, escapes and key order make no difference; the seed and every word do."""
    lines = [
        '{"messages": [{"role": "user", "content": "é"}, {"role": "assistant", "content": "b"}]}',
        '{ "messages":[ {"content":"\\u00e9","role":"user"},{"content":"b","role":"assistant"}]}',
        '{"messages": [{"role": "user", "content": "e"}, {"role": "assistant", "content": "b"}]}',
    ]
    (tmp_path / "a").write_text("\n".join(lines), encoding="utf-8")
    prints = RowFile.open(tmp_path / "a", "a", "p").survey(seed=1)
    assert prints[0] == prints[1] != prints[2]
    assert RowFile.open(tmp_path / "a", "a", "p").survey(seed=2)[0] != prints[0]


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    """Numbers written down once: a change would move rows between the sides of existing jobs."""
    assert fingerprint(canonical(decode(good(1))), 42) == 827717157368855109
    assert fingerprint(b"", 0) == 14100770264707963708
