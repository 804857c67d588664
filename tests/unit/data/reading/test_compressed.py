"""Compressed files that are whole, cut off, damaged, or larger than the disk."""

from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.data.reading import unpack
from finetune_trainer.data.reading.record import Unreadable
from finetune_trainer.failure import StageFailure
from tests.unit.data.reading.files import COMPRESSORS, jsonl, opened, parquet, texts

PACKED = [name for name in COMPRESSORS if name]


def noise(count: int) -> list[dict[str, str]]:
    """Rows that compress badly, so that the damage is in the middle of them."""
    return [{"prompt": f"{n * 7919 % 99991:x}" * 40, "completion": f"{n * 104729 % 99989:x}" * 40} for n in range(count)]


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("writer", [jsonl, parquet])
def test_a_file_that_is_cut_off_is_said(tmp_path: Path, compression: str, writer: object) -> None:
    """A download that broke off gives a finding, whether rows come as a stream or after unpacking."""
    packed = COMPRESSORS[compression](writer(noise(20_000)))  # type: ignore[operator]
    with pytest.raises((StageFailure, Unreadable), match=f"the {compression} data ends too early: it was not written or copied in full"):
        list(opened(tmp_path, packed[: len(packed) * 3 // 4]).records())


@pytest.mark.parametrize("compression", PACKED)
def test_damage_is_said(tmp_path: Path, compression: str) -> None:
    """What was overwritten is found by the check sum or by the decoder."""
    packed = bytearray(COMPRESSORS[compression](jsonl(noise(20_000))))
    packed[12:200] = bytes(byte ^ 0x55 for byte in packed[12:200])
    with pytest.raises((StageFailure, Unreadable), match=f"the {compression} data is damaged"):
        list(opened(tmp_path, bytes(packed)).records())


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("length", [2, 4, 5, 9, 15])
def test_a_few_bytes_of_a_compressed_file_are_refused(tmp_path: Path, compression: str, length: int) -> None:
    """Even the head may be missing."""
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path, COMPRESSORS[compression](jsonl(texts(5)))[:length])
    assert "traceback" not in caught.value.error.message.lower()


def test_a_table_that_unpacks_to_more_than_the_disk_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb is bounded by the free disk; nothing is left behind, and the words say what to do."""
    monkeypatch.setattr(unpack, "RESERVE", 1 << 62)
    with pytest.raises(StageFailure) as caught:
        opened(tmp_path, COMPRESSORS["zstd"](parquet(texts(20))))
    assert caught.value.exit_code == ExitCode.STORAGE_FULL
    assert "give the table without .gz or .zst" in caught.value.error.message
    assert list((tmp_path / "scratch").iterdir()) == []
