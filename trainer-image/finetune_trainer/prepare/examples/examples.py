"""Both sides of the dataset as token ids in the workspace: encoded once, cut to the length that their lengths suggest."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from finetune_api.dataset_report import Side
from finetune_api.result import DatasetSummary, ResolvedParameter
from finetune_api.run_config import RunConfig
from finetune_trainer.data.profile.dataset_file import DatasetFile
from finetune_trainer.data.tokens.arrow import EncodeStats, ExampleWriter, truncate, write_prompts
from finetune_trainer.data.tokens.borders import WHITE_SPACE
from finetune_trainer.data.tokens.classes import ClassEncoder
from finetune_trainer.data.tokens.encoded import ExampleKind, Refused
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.failure import invalid
from finetune_trainer.prepare.base.base import ExaminedBase
from finetune_trainer.prepare.base.files import incomplete
from finetune_trainer.prepare.dataset.dataset import ProfiledDataset, Rowed
from finetune_trainer.prepare.dataset.statistics import first_notes, quantiles, side_with_tokens
from finetune_trainer.prepare.examples.control_texts import ControlTexts
from finetune_trainer.prepare.examples.encoder import TaskEncoder
from finetune_trainer.prepare.examples.held_out_requests import HeldOutRequests
from finetune_trainer.prepare.examples.message_names import MessageNames
from finetune_trainer.prepare.examples.refusals import Refusals
from finetune_trainer.prepare.hyperparameters import AS_GIVEN
from finetune_trainer.sources.subject import Subject
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.tasks.rows import canonical
from finetune_trainer.workspace.requests import write_requests
from finetune_trainer.workspace.workspace import Workspace

MAX_PROMPTS = 64
ANSWER_ROOM = 64
"""Positions that a prompt leaves for its answer: beyond its last position a model cannot go on."""
SHOWN_EVERY = 50
"""Examples between two signs of life: of rows just below `LONG_ROW`, they take seconds."""
LONG_ROW = 1_000_000
"""Bytes of a row whose tokenization takes long, and is shown."""
LENGTH_STEP = 64
"""The automatic maxSequenceLength is a multiple of it."""
_LENGTH_PARAM = "hyperparameters.maxSequenceLength"
_BEGINS: dict[ExampleKind, str] = {
    "language": "the answer begins",
    "pair": "an answer begins, or differs from the other one only,",
    "rated": "the answer begins",
    "sequence": "the text begins",
    "token": "the first tagged word comes",
    "embedding": "a text begins",
}
_NOTHING: dict[ExampleKind, str] = {
    "language": "the answer has no token of its own",
    "pair": "an answer has no token of its own, or both have the same tokens",
    "rated": "the answer has no token of its own",
    "sequence": "the text has no token",
    "token": "no word with a tag has a token",
    "embedding": "a text has no token",
}


@dataclass(frozen=True)
class Examples:
    """What was written."""

    summary: DatasetSummary
    train: Side
    validation: Side
    notes: list[str]
    findings: list[str]
    """Of rows that were left out."""
    finding_kinds: dict[str, int]
    stats: EncodeStats
    """The training examples."""
    held_out: EncodeStats
    """The validation examples."""
    max_sequence_length: ResolvedParameter
    bytes: int
    """Size of the files."""


class ExamplesWriter:
    """Writes train.arrow, validation.arrow and, for a language model, prompts.arrow of one dataset."""

    def __init__(
        self, dataset: ProfiledDataset, task: TaskEncoder, base: ExaminedBase, workspace: Workspace, progress: ProgressPrinter
    ) -> None:
        self.dataset = dataset
        self.task = task
        self.kind = task.encoder.kind
        self.base = base
        self.workspace = workspace
        self.progress = progress
        self._digest = hashlib.sha256()
        self._control_texts = ControlTexts(base.config.tokenizer, task.encoder)
        self._requests = HeldOutRequests(task)
        self._names = MessageNames(task.chat.template if task.chat else None)

    def write(self, config: RunConfig) -> Examples:
        """Encodes, cuts and writes; raises StageFailure for rows that the template refuses or a cut that leaves nothing."""
        workspace, data, given = self.workspace, self.dataset, config.hyperparameters.max_sequence_length
        check_length(given, self.base.config.max_length)
        refusals = Refusals(self.base.subject, config.dataset.limits.max_invalid_fraction)
        spills = workspace.train_rows.with_name(".train.full"), workspace.validation_rows.with_name(".validation.full")
        lengths = self._encode(data.train, "train", data.train_rows(), spills[0], refusals)
        held = self._encode(data.validation, "validation", data.validation_rows(), spills[1], refusals)
        refusals.check()
        limit = decide_length(given, lengths, self.base.config.max_length)
        train = self._cut(data.train, spills[0], workspace.train_rows, int(limit.value))
        validation = self._cut(data.validation, spills[1], workspace.validation_rows, int(limit.value))
        write_requests(workspace.requests, list(self._requests.requests(data.validation_rows())))
        workspace.prompts.unlink(missing_ok=True)
        if isinstance(self.task.encoder, LanguageEncoder):
            write_prompts(workspace.prompts, self._prompts(self.task.encoder, int(limit.value)))
        files = [path for path in (workspace.train_rows, workspace.validation_rows, workspace.prompts) if path.exists()]
        notes = [
            *data.notes,
            *self.task.notes,
            *template_notes(self.base.subject, self.task),
            *border_notes(self.task),
            *(self.task.encoder.unseen.notes() if isinstance(self.task.encoder, ClassEncoder) else []),
            *self._control_texts.notes(),
        ]
        notes += self._names.notes()
        for file, kept in ((data.train, train), (data.validation, validation)):
            notes += lost_notes(file.name, kept, int(limit.value), self.kind, self.base.config.max_length)
        if refusals.rows:
            notes.append(f"{refusals.rows:,} rows were dropped because the base's chat template rejects them")
        return Examples(
            summary=self._summary(train, validation, lengths, notes, refusals.rows),
            train=side_with_tokens(data.train_side, train, lengths),
            validation=side_with_tokens(data.validation_side, validation, held),
            notes=notes,
            findings=[*data.findings, *refusals.first],
            finding_kinds=data.finding_kinds | refusals.kinds,
            stats=train,
            held_out=validation,
            max_sequence_length=limit,
            bytes=sum(path.stat().st_size for path in files),
        )

    def _encode(self, file: DatasetFile, side: str, rows: Rowed, target: Path, refusals: Refusals) -> Sequence[int]:
        """Tokenises one side at full length into `target`; returns the lengths."""
        with ExampleWriter(target, self.kind) as writer:
            for number, example in enumerate(self.task.encoder.encode(self._passed(file, side, rows, refusals)), start=1):
                if isinstance(example, Refused):
                    refusals.add(file, example)
                else:
                    writer.add(example)
                    if side == "validation":
                        self._requests.saw(example)
                if number % SHOWN_EVERY == 0:
                    self.progress.show(f"tokenizing {file.name}: {number:,} examples")
        vocabulary = self.base.config.vocab_size
        if vocabulary is not None and writer.largest_id >= vocabulary:
            what = f"it makes token {writer.largest_id}, and config.json's vocab_size is {vocabulary}"
            raise incomplete(self.base.subject, f"has a tokenizer that does not belong to its weights: {what}", {})
        return writer.lengths

    def _passed(self, file: DatasetFile, side: str, rows: Rowed, refusals: Refusals) -> Rowed:
        """Passes rows on, counts them and takes them into the digest."""
        for where, row in rows:
            refusals.saw(file)
            text = canonical(row)
            if len(text) >= LONG_ROW:
                self.progress.show(f"tokenizing {file.name}, {where}: a row of {len(text) / 1e6:.1f} MB", force=True)
            self._digest.update(side.encode() + b"\t" + text + b"\n")
            self._control_texts.saw(file.name, where, row)
            self._names.saw(file.name, where, row)
            yield where, row

    def _cut(self, file: DatasetFile, spill: Path, target: Path, limit: int) -> EncodeStats:
        """The final file of one side; the spilled one is deleted."""
        kept = truncate(spill, target, self.kind, limit, file.name)
        spill.unlink()
        if kept.examples == 0:
            text = "; ".join(lost_notes(file.name, kept, limit, self.kind, self.base.config.max_length))
            raise invalid("InvalidDataset", text, param=_LENGTH_PARAM if kept.cut_off.places.count else file.param)
        return kept

    def _prompts(self, encoder: LanguageEncoder, limit: int) -> Iterator[list[int]]:
        """Contexts of the first held-out rows, without repetitions; of a longer one, the end."""
        seen: set[tuple[int, ...]] = set()
        limit = max(1, min(limit, (self.base.config.max_length or limit + ANSWER_ROOM) - ANSWER_ROOM))
        for _, row in islice(self.dataset.validation_rows(), MAX_PROMPTS):
            ids = encoder.prompt(row)
            if ids and tuple(ids[-limit:]) not in seen:
                seen.add(tuple(ids[-limit:]))
                yield ids[-limit:]

    def _summary(
        self, train: EncodeStats, validation: EncodeStats, lengths: Sequence[int], notes: list[str], refused: int
    ) -> DatasetSummary:
        rows = self.dataset.summary()
        return rows.model_copy(
            update={
                "invalid_rows": rows.invalid_rows + refused,
                "train_examples": train.examples,
                "validation_examples": validation.examples,
                "train_tokens": int(train.lengths.sum()),
                "supervised_tokens": int(train.supervised.sum()),
                "truncated_examples": train.truncated + validation.truncated,
                "truncated_tokens": train.truncated_tokens + validation.truncated_tokens,
                "without_target": train.without_target + validation.without_target,
                "digest": self._digest.hexdigest(),
                "lengths": quantiles(np.asarray(lengths, np.int64)),
                "notes": first_notes(notes),
            }
        )


def lost_notes(name: str, kept: EncodeStats, limit: int, kind: ExampleKind, model: int | None) -> list[str]:
    """On examples that are left out: which, why, and what would keep them."""
    notes = []
    what = _BEGINS[kind]
    if kept.cut_off.places.count:
        needed = kept.cut_off.needed
        can = model is None or needed <= model
        way = f"raise {_LENGTH_PARAM} to at least {needed:,}" if can else f"shorten the rows: the base model takes {model:,} tokens"
        says = f"{what} beyond {limit:,} tokens, where rows are cut, so nothing is left to learn and they are left out"
        notes.append(f"{name}, {kept.cut_off.places}: {says}; {way}")
    if kept.nothing.places.count:
        what = _NOTHING[kind]
        notes.append(f"{name}, {kept.nothing.places}: {what}, so there is nothing to learn and the rows are left out")
    return notes


def check_length(given: int | None, model: int | None) -> None:
    """Raises StageFailure for a length beyond the model's own limit."""
    if given is not None and model is not None and given > model:
        text = f"{_LENGTH_PARAM} is {given}, and the base model knows {model} positions: lower it"
        raise invalid("InvalidHyperparameter", text, param=_LENGTH_PARAM)


def decide_length(given: int | None, lengths: Sequence[int], model: int | None) -> ResolvedParameter:
    """The longest sequence: as given, or what holds 99 % of the examples, within the model's own limit."""
    if given is not None:
        return ResolvedParameter(value=given, reason=AS_GIVEN)
    most = int(np.percentile(lengths, 99, method="inverted_cdf")) if len(lengths) else 1
    value = -(-most // LENGTH_STEP) * LENGTH_STEP
    if model is not None and value > model:
        return ResolvedParameter(value=model, reason=f"the base model's limit; 99 % of the examples have at most {most} tokens")
    return ResolvedParameter(value=value, reason=f"99 % of the examples have at most {most} tokens")


def border_notes(task: TaskEncoder) -> list[str]:
    """Rows whose text as a whole has other tokens where the prompt ends than a request has."""
    borders = task.encoder.borders if isinstance(task.encoder, LanguageEncoder) else None
    if borders is None or not borders.rows:
        return []
    rows = "1 row" if borders.rows == 1 else f"{borders.rows:,} rows"
    why = ", ".join(f"{reason} ({count:,})" for reason, count in borders.reasons.most_common())
    advice = ""
    if WHITE_SPACE in borders.reasons:
        whose = "the chat template's generation prompt" if task.chat else "prompts, in rows and requests, and begin answers with it"
        advice = f"; better: remove it from the end of {whose}"
    return [f"in {rows} (first: {borders.first}) the prompt is tokenized without the answer, as in a request, because {why}{advice}"]


def template_notes(base: Subject, task: TaskEncoder) -> list[str]:
    """What was done where the difference of two renderings does not tell the assistant's words."""
    notes = []
    if task.chat and task.chat.by_blocks:
        rows = f"in {task.chat.by_blocks:,} rows its {{% generation %}} blocks say what the assistant's words are"
        notes.append(f"the chat template of {base.name} rewrites earlier text ({task.chat.why}): {rows}")
    if task.chat and task.chat.by_turns:
        rows = f"each answer of {task.chat.by_turns:,} rows became an example of its own, with all that came before it"
        notes.append(f"the chat template of {base.name} rewrites earlier text ({task.chat.why}): {rows}")
    if task.chat and task.chat.without_end:
        notes.append(
            f"the chat template of {base.name} ends answers with no special token: {task.chat.markers.end} is added to the last one"
        )
    return notes
