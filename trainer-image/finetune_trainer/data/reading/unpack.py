"""Tables are read from any place in the file, so one inside .gz or .zst is unpacked first: as far as the disk goes."""

import errno
import hashlib
from pathlib import Path

from finetune_api.exit_codes import ExitCode
from finetune_trainer.data.reading.record import BLOCK
from finetune_trainer.data.reading.stream import Compression, open_stream
from finetune_trainer.failure import StageFailure
from finetune_trainer.workspace.files import free_bytes

RESERVE = 256 << 20
"""Bytes that are left free for others."""
_LOOK = 64
"""Blocks between two looks at the disk: somebody else may write to it too."""


def unpack(path: Path, compression: Compression, name: str, scratch: Path) -> Path:
    """The unpacked file in `scratch`. Raises StageFailure StorageFull when it would fill the disk, Unreadable when it is damaged."""
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / f"unpacked-{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]}"
    part = target.with_suffix(".part")  # somebody may be reading another slice of the same file
    try:
        with open_stream(path, compression) as stream, open(part, "wb") as file:
            blocks = 0
            while data := stream.read(BLOCK):
                if blocks % _LOOK == 0 and free_bytes(scratch) < RESERVE + _LOOK * BLOCK:
                    raise OSError(errno.ENOSPC, "the disk is nearly full")
                file.write(data)
                blocks += 1
    except BaseException as exc:
        written = part.stat().st_size if part.exists() else 0
        part.unlink(missing_ok=True)
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _too_large(name, compression, path, written, scratch) from exc
        raise
    return part.replace(target)


def _too_large(name: str, compression: Compression, path: Path, written: int, scratch: Path) -> StageFailure:
    return StageFailure(
        ExitCode.STORAGE_FULL,
        "StorageFull",
        f"{name}: {path.stat().st_size:,} bytes of {compression} unpack to more than {written:,} bytes, and {scratch} is full: "
        "give the table without .gz or .zst (Parquet and Arrow are compressed inside), or raise workspace.storage.size",
        param="workspace.storage.size",
    )
