"""What prepare found, as the job's status shows it: the data set, the memory, what the training will come to."""

from finetune_api.resources.finetune_job_status import DatasetStatus, ExpectedStatus, LabelCount, MemoryStatus, QuantilesStatus
from finetune_api.result import DatasetSummary, Expectation, MemoryEstimate, Quantiles
from finetune_operator.plan.common.conditions import short

_GIB = 1 << 30


def dataset_status(rows: DatasetSummary) -> DatasetStatus:
    """All counts, cut to what the schema lets through."""
    return DatasetStatus(
        format=short(rows.format, 128) or None,
        train_examples=rows.train_examples,
        validation_examples=rows.validation_examples,
        train_tokens=rows.train_tokens,
        supervised_tokens=rows.supervised_tokens,
        lengths=_quantiles(rows.lengths),
        turns=_quantiles(rows.turns),
        labels=[LabelCount(label=short(label, 256), count=count) for label, count in list(rows.labels.items())[:20]],
        label_count=rows.label_count or None,
        truncated_examples=rows.truncated_examples,
        truncated_tokens=rows.truncated_tokens,
        invalid_rows=rows.invalid_rows,
        duplicates=rows.duplicates,
        near_duplicates=rows.near_duplicates,
        notes=[short(note) for note in rows.notes[:10]],
        digest=short(rows.digest, 80),
    )


def dataset_text(rows: DatasetSummary) -> str:
    """ "90 training examples, 10 validation examples, 900 tokens; 3 invalid rows and 2 duplicates were left out"."""
    counts = f"{rows.train_examples:,} training examples, {rows.validation_examples:,} validation examples, {rows.train_tokens:,} tokens"
    labels = f", {rows.label_count} labels" if rows.label_count else ""
    left = [
        _count(rows.invalid_rows, "invalid row"),
        _count(rows.duplicates, "duplicate"),
        _count(rows.in_both, "row of the validation file", "rows of the validation file"),
        _count(rows.without_target, "example without supervised tokens", "examples without supervised tokens"),
    ]
    without = " and ".join(text for text in left if text)
    cut = f"; {_count(rows.truncated_examples, 'example')} truncated to maxSequenceLength" if rows.truncated_examples else ""
    return f"{counts}{labels}{f'; left out: {without}' if without else ''}{cut}"


def memory_status(memory: MemoryEstimate) -> MemoryStatus:
    """What a training process needs, of what it has."""
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "activations": memory.activations,
        "logits": memory.logits,
        "runtime": memory.runtime,
    }
    made_of = ", ".join(f"{name} {_amount(count)}" for name, count in parts.items())
    known = f"{_amount(memory.total)} of {_amount(memory.available)} ({memory.available_from})" if memory.available is not None else ""
    unknown = f"{_amount(memory.total)}, available memory unknown; set training.gpuMemory, or training.resources.limits.memory on a CPU"
    return MemoryStatus(
        text=short(f"{known or unknown}: {made_of}"),
        total_bytes=memory.total,
        available_bytes=memory.available,
        micro_batch_tokens=memory.micro_batch_tokens,
        accumulation=memory.accumulation,
        gradient_checkpointing=memory.gradient_checkpointing,
    )


def expected_status(steps: int, expected: Expectation) -> ExpectedStatus:
    """ "500 steps, 1.2 M tokens, about 1.4 h, about 8.40 USD", and what that is computed from."""
    parts = [f"{steps:,} step{'s' * (steps != 1)}", f"{_tokens(expected.tokens)} tokens"]
    if expected.hours is not None:
        parts.append(_duration(expected.hours))
    if expected.cost is not None:
        parts.append(f"about {expected.cost:.2f} {expected.currency}".rstrip())
    text = ", ".join(parts)
    return ExpectedStatus(
        text=short(f"{text} ({expected.basis})" if expected.basis else text),
        steps=steps,
        tokens=expected.tokens,
        hours=expected.hours,
        cost=expected.cost,
    )


def _quantiles(found: Quantiles | None) -> QuantilesStatus | None:
    return QuantilesStatus(p50=found.p50, p95=found.p95, max=found.max) if found else None


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}" if number else ""


def _amount(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / 2**20:.0f} MiB"


def _tokens(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"about {hours:g} h"
    minutes = hours * 60
    return f"about {minutes:.0f} min" if minutes >= 1 else "less than a minute"
