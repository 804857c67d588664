"""What a classifier is to tell apart: its labels in order, and how often each occurs on either side."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from finetune_trainer.data.profile.dataset_file import ProfiledFile
from finetune_trainer.data.profile.duplicates import Different
from finetune_trainer.data.profile.labels import (
    check_labels,
    check_unseen,
    entity_counts,
    label_counts,
    label_notes,
)
from finetune_trainer.data.profile.notes import counted
from finetune_trainer.tasks import AnyTask, SequenceTask, TokenTask
from finetune_trainer.tasks.rows import Row

Counts = dict[str, int]


@dataclass(frozen=True)
class Classes:
    """Empty for a model without labels."""

    names: tuple[str, ...] = ()
    """Sorted; for token-classification the tags."""
    multi_label: bool = False
    notes: list[str] = field(default_factory=list)


def find_classes(task: AnyTask, train: ProfiledFile, held: ProfiledFile, left: Different) -> Classes:
    """The labels of the rows that are left; `held` is `train` again where its rows are split.

    Raises StageFailure for labels that nothing can be learnt from.
    """
    if not isinstance(task, SequenceTask | TokenTask):
        return Classes()
    counts = label_counts(train.profile, left.train)
    check_labels(train, counts, left.train)
    multi_label, names = train.profile.multi_label, set(counts)
    if held is not train:
        held_counts = label_counts(held.profile, left.validation)
        check_unseen(train, held, counts, held_counts)
        multi_label, names = multi_label or held.profile.multi_label, names | set(held_counts)
    return Classes(tuple(sorted(names)), multi_label, label_notes(task.learner, counts, multi_label))


@dataclass
class Tagged:
    """What is counted of tagged rows."""

    entities: Counter[str] = field(default_factory=Counter)
    """Of each type."""
    ignored: int = 0
    """Tokens of which nothing is learnt."""
    rows: int = 0
    """RowMask that have some."""

    @classmethod
    def count(cls, task: TokenTask, rows: Iterable[tuple[str, Row]]) -> "Tagged":
        """Of these rows."""
        found = cls()
        for _, row in rows:
            given = task.tags(row)
            tags = [tag for tag in given if tag is not None]
            found.entities.update(entity_counts(tags))
            found.ignored += len(given) - len(tags)
            found.rows += len(tags) < len(given)
        return found


def ignored_note(sides: Iterable[Tagged]) -> list[str]:
    """A note on tokens that are tagged -100."""
    tokens, rows = (sum(counts) for counts in zip(*((side.ignored, side.rows) for side in sides), strict=True))
    if not tokens:
        return []
    return [
        f"{counted(tokens, 'token')} in {counted(rows, 'row')} {'has' if tokens == 1 else 'have'} the tag -100: nothing is learned there"
    ]


def most_frequent_first(counts: Mapping[str, int]) -> Counts:
    """The same counts in order, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
