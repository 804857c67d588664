"""The labels of a file of classified rows: how often each occurs, what cannot be learned, what is odd.

A tag of token-classification is a label, too; its type is what follows B- or I-: PER of B-PER.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from finetune_text.tags import OUTSIDE, entities, split_tag
from finetune_trainer.data.profile.dataset_file import DatasetFile, ProfiledFile
from finetune_trainer.data.profile.duplicates import Codes, RowMask
from finetune_trainer.data.profile.notes import among, counted, quoted, shortened_list, verb
from finetune_trainer.data.profile.profile import Profile
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.tasks import LearnerName

IMBALANCE = 10
"""RowMask of the most frequent label to one of the rarest from which on it is worth a note."""
MOST_TAGS = 1000
_TOO_FEW = "one example is too few to learn from, and none is left to measure with"
_LONG_LABEL = 64
_MANY_ROWS = 10


def refused(file: DatasetFile, what: str) -> StageFailure:
    """InvalidDataset."""
    return invalid("InvalidDataset", f"{file.name}: {what}", param=file.param)


def label_counts(profile: Profile, rows: RowMask) -> Counter[str]:
    """How many of these rows have each label; none where the rows have no labels at all."""
    if not profile.label_sets:
        return Counter()
    sets = np.bincount(profile.label_ids[rows], minlength=len(profile.label_sets)).tolist()
    counts: Counter[str] = Counter()
    for labels, count in zip(profile.label_sets, sets, strict=True):
        if count:
            counts.update(dict.fromkeys(labels, count))
    return counts


def label_strata(profile: Profile, rows: RowMask) -> Codes:
    """A number for each row of the file: that of its label, or of its rarest one among these rows."""
    counts = label_counts(profile, rows)
    names = {name: number for number, name in enumerate(sorted(counts))}
    rarest = [min(labels, key=lambda name: (counts.get(name, 0), name), default="") for labels in profile.label_sets]
    numbers = np.array([names.get(name, len(names)) for name in rarest], np.int32)
    return numbers[profile.label_ids]


def entity_of(tag: str) -> str:
    """What a tag tags: PER of B-PER; a tag without a prefix is its own."""
    return split_tag(tag)[1]


def entity_counts(tags: Sequence[str]) -> Counter[str]:
    """Entities in one row by type, as the evaluation counts them."""
    return Counter(entity.name for entity in entities(tags))


def check_labels(file: ProfiledFile, counts: Mapping[str, int], wanted: RowMask) -> None:
    """Raises StageFailure where nothing can be learned from the labels of the wanted rows."""
    rows = int(wanted.sum())
    if file.task.learner == "token":
        check_tags(file, counts)
        return
    if not counts:
        raise refused(file, f"no row has a label: {file.column('label')!r} is an empty list everywhere")
    if len(counts) > max(rows // 2, 2) and rows >= _MANY_ROWS:
        raise refused(file, too_many(file, counts, rows))
    combinations = np.unique(file.profile.label_ids[wanted])
    if len(combinations) == 1:
        labels = file.profile.label_sets[combinations[0]]
        have = f"the label {quoted(labels[0])}" if len(labels) == 1 else f"the labels {among(labels, 5)}"
        raise refused(file, f"all {rows:,} rows have {have}, and a classifier needs at least two different ones")


def too_many(file: DatasetFile, counts: Mapping[str, int], rows: int) -> str:
    """Words for labels that are texts or numbers."""
    where = f"{file.param.removesuffix('.source')}.columns.label"
    found = f"{len(counts):,} different labels in {rows:,} rows ({among(counts, 2)}): "
    if all(is_fraction(name) for name in counts):
        return found + "these are numbers, but classes are expected: a score cannot be learned; convert it into a few named classes"
    right = f"is {file.column('label')!r} the right column? A label is a name that many rows share; {where} says which column has it"
    return found + right


def is_fraction(name: str) -> bool:
    """True for 0.73."""
    try:
        return "." in name and float(name) is not None
    except ValueError:
        return False


def check_tags(file: DatasetFile, counts: Mapping[str, int]) -> None:
    """Raises StageFailure for one tag only, or far too many."""
    if len(counts) == 1:
        raise refused(file, f"every tag is {next(iter(counts))!r}, so there is nothing to classify")
    if len(counts) > MOST_TAGS:
        raise refused(
            file, f"{len(counts):,} different tags ({among(counts, 3)}), at most {MOST_TAGS:,} are taken: are these tags, or the tokens?"
        )


def check_unseen(file: DatasetFile, held: DatasetFile, counts: Mapping[str, int], held_counts: Mapping[str, int]) -> None:
    """Raises StageFailure for labels of the validation file that no training row has: they cannot be learned."""
    name_of = entity_of if file.task.learner == "token" else str
    known = {name_of(name) for name in counts}
    unseen: Counter[str] = Counter()
    for name, count in held_counts.items():
        if name_of(name) not in known and name != OUTSIDE:
            unseen[name_of(name)] += count
    if unseen:
        what = "label" if file.task.learner == "sequence" else "entity type"
        which = shortened_list([f"{quoted(name)} ({counted(count, 'row')})" for name, count in unseen.most_common()], 5)
        has = f"has {counted(len(unseen), what)} that no row of {file.name} has: {which}"
        known_ones = f"{file.name} has {among(sorted(known - {OUTSIDE}), 5)}"
        raise invalid(
            "InvalidDataset",
            f"{held.name} {has}. Labels without training rows cannot be learned: add rows to {file.name}, or correct them ({known_ones})",
            param=held.param,
        )


def label_notes(learner: LearnerName, counts: Mapping[str, int], multi_label: bool) -> list[str]:
    """What is worth a look in the labels of the training rows."""
    notes = list(spelled_alike(counts))
    if learner == "sequence":
        once = sorted(name for name, count in counts.items() if count == 1)
        if once:
            notes.append(f"{counted(len(once), 'label')} {verb(once, 'occur')} in one row only: {among(once, 5)}; {_TOO_FEW}")
        if not multi_label:
            notes += imbalance(counts)
        notes += no_label(counts)
        long = [name for name in counts if len(name) > _LONG_LABEL]
        if long:
            notes.append(
                f"{counted(len(long), 'label')} of more than {_LONG_LABEL} characters ({among(long, 1)}): is this the right column?"
            )
    return notes


def imbalance(counts: Mapping[str, int]) -> list[str]:
    """A note where one label outweighs another."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    (most, largest), (least, smallest) = ordered[0], ordered[-1]
    if largest <= IMBALANCE * smallest:
        return []
    ratio = f"{quoted(most)} has {counted(largest, 'row')}, {quoted(least)} {smallest:,} ({largest // smallest:,} to 1)"
    return [f"labels are not balanced: {ratio}; prefer f1 to accuracy in evaluation.gate"]


def no_label(counts: Mapping[str, int]) -> list[str]:
    """A note on -1 among the numbers of classes."""
    if counts.get("-1", 0) == 0 or len(counts) < 3 or not all(name.isdecimal() for name in counts if name != "-1"):
        return []
    rows = counted(counts["-1"], "row")
    return [f"-1 is treated as a class ({rows}); if it means that the label is unknown, as in SNLI, remove these rows"]


def spelled_alike(counts: Mapping[str, int]) -> Iterable[str]:
    """Notes on labels that differ by case or white space only."""
    alike: dict[str, list[str]] = {}
    for name in counts:
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            rows = " and ".join(f"{quoted(name)} ({counted(counts[name], 'row')})" for name in sorted(names))
            yield f"labels that differ only in case or white space are treated as different labels: {rows}"


def entity_notes(entities: Mapping[str, int]) -> list[str]:
    """What is worth a look in the entities of the training rows."""
    once = sorted(name for name, count in entities.items() if count == 1)
    if not once:
        return []
    return [f"{counted(len(once), 'entity type')} {verb(once, 'occur')} once only: {among(once, 5)}; {_TOO_FEW}"]
