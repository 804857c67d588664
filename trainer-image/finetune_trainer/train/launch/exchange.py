"""The folder through which a launcher and its ranks talk: the run, each rank's heartbeat, each rank's failure.

It belongs to one launcher and goes with it; what outlives an attempt is in the workspace.
"""

from pathlib import Path

from finetune_api.document import Document
from finetune_api.result import StageError
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure
from finetune_trainer.workspace.files import write_atomic


class Assignment(Document):
    """What a launcher tells its ranks."""

    config: RunConfig
    attempt: int
    halved: bool = False
    """Micro-batches are half as large as they would be: an earlier attempt ran out of memory."""


class RankFailure(Document):
    """What a rank says before it exits."""

    exit_code: int
    error: StageError


class Exchange:
    """Paths below one temporary folder, and what is in them."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._assignment = self.folder / "assignment.json"

    def heartbeat(self, rank: int) -> Path:
        """The file that a rank beats in."""
        return self.folder / f"rank-{rank}.beat"

    def write_assignment(self, assignment: Assignment) -> None:
        """The launcher's first act."""
        write_atomic(self._assignment, assignment.to_json())

    def assignment(self) -> Assignment:
        """What the launcher has written."""
        return Assignment.from_json(self._assignment.read_bytes())

    def write_failure(self, rank: int, failure: StageFailure) -> None:
        """A failing rank's last words."""
        write_atomic(self._failure(rank), RankFailure(exit_code=failure.exit_code, error=failure.error).to_json())

    def failure(self, rank: int) -> RankFailure | None:
        """A rank's last words, None for one that ended without any."""
        try:
            return RankFailure.from_json(self._failure(rank).read_bytes())
        except (OSError, ValueError):
            return None

    def _failure(self, rank: int) -> Path:
        return self.folder / f"rank-{rank}.failure.json"
