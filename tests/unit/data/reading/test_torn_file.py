"""What is wrong before the place where a file cannot be read any more is reported, too."""

from pathlib import Path

import pytest

from finetune_trainer.data.profile.dataset_file import DatasetFile
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks import TASKS
from tests.unit.data.reading.files import opened


def test_findings_before_the_end_are_kept(tmp_path: Path) -> None:
    """An open quote at the end of a CSV does not hide the row above it that lacks a cell."""
    file = opened(tmp_path, b'prompt,completion\n1,2\n3\n4,5\n"6,7\n')
    with pytest.raises(StageFailure) as caught:
        DatasetFile.open(file, TASKS["completion"]).profiled(1)
    assert [finding.split(":")[0] for finding in caught.value.error.details] == ["row 2 (line 3)", "the file ends here"]
