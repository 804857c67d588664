"""How a launcher sees that a rank moves."""

from pathlib import Path

import pytest

from finetune_trainer.train.launch.heartbeat import Heartbeat, phase_of, read_beat

pytestmark = pytest.mark.unit


def test_heartbeat(tmp_path: Path) -> None:
    """Each beat is another text, names the phase, and leaves nothing of a longer one behind."""
    path = tmp_path / "rank-0.beat"
    assert phase_of(read_beat(path)) == "starting"
    heart = Heartbeat(path)
    seen = [read_beat(path)]
    for phase in ("finishing", "joining", "joining"):
        heart.beat(phase)
        seen.append(read_beat(path))
        assert phase_of(seen[-1]) == phase
    assert len(set(seen)) == 4
