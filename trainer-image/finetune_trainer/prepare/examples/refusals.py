"""Rows that the chat template of the base refuses: findings, within the same share of rows that may be dropped."""

from collections import Counter

from finetune_trainer.data.profile.dataset_file import DatasetFile
from finetune_trainer.data.profile.findings import Findings
from finetune_trainer.data.tokens.encoded import Refused
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.sources.subject import Subject
from finetune_trainer.tasks.explain import Problem


class Refusals:
    """Counts them by file; a file that is split is one file."""

    def __init__(self, base: Subject, allowed: float) -> None:
        self.base = base
        self.allowed = allowed
        self.files: dict[str, Findings] = {}
        self._rows: Counter[str] = Counter()

    def saw(self, file: DatasetFile) -> None:
        """Counts a row of a file."""
        self._rows[file.param] += 1

    def add(self, file: DatasetFile, refused: Refused) -> None:
        """Takes one down; raises StageFailure when the template hides what the assistant said, which is not the row's fault."""
        if not refused.by_template:
            raise not_prefix_preserving(self.base, file, refused)
        findings = self.files.setdefault(file.param, Findings(file.name, file.param))
        findings.add(refused.where, [Problem("refused by the chat template", f"the base's chat template {refused.reason}")])

    def check(self) -> None:
        """Raises StageFailure InvalidDataset when there are more than may be dropped."""
        for param, findings in self.files.items():
            if findings.rows > self.allowed * self._rows[param]:
                raise findings.failure(self._rows[param], self.allowed)

    @property
    def rows(self) -> int:
        """How many there are in all."""
        return sum(findings.rows for findings in self.files.values())

    @property
    def first(self) -> list[str]:
        """The first of each file, a line each."""
        return [line for findings in self.files.values() for line in findings.first]

    @property
    def kinds(self) -> dict[str, int]:
        """How many there are, for the report."""
        return dict(sum((findings.kinds for findings in self.files.values()), Counter()))


def not_prefix_preserving(base: Subject, file: DatasetFile, refused: Refused) -> StageFailure:
    """The template cannot tell us what the assistant said."""
    return invalid(
        "ChatTemplateUnsupported",
        f"the chat template of {base.name} rewrites earlier text ({file.name}, {refused.where}: {refused.reason}), so that the loss "
        "cannot be limited to the assistant's words: set method.lossOn to all, or give the assistant's earlier messages weight 0",
        param="method.lossOn",
        details=[f"{refused.where}: {refused.reason}"],
    )
