"""A dataset's report for people. Knows no terminal: lines of text come out."""

import json
from collections.abc import Iterator
from itertools import dropwhile

from finetune_api.dataset_report import Bin, DatasetReport, Side
from finetune_api.result import DatasetSummary, Quantiles

BAR = 40
"""Characters of the longest bar of a histogram."""
LABELS = 20


def lines_of(report: DatasetReport) -> Iterator[str]:
    """All of the report, the verdict last."""
    for name, side in (("train", report.train), ("validation", report.validation)):
        if side is not None and side.examples:
            yield from side_lines(name, side)
    if report.summary is not None:
        yield from summary_lines(report.summary)
    yield from (f"  {finding}" for finding in report.findings)
    if sum(report.finding_kinds.values()) > len(report.findings):
        yield "  in all: " + ", ".join(f"{count:,} x {kind}" for kind, count in report.finding_kinds.items())
    yield from (f"note: {note}" for note in report.notes)
    if report.hyperparameters:
        yield "hyperparameters"
    for name, parameter in report.hyperparameters.items():
        yield f"  {name:22} {parameter.text:>12}  {parameter.reason}"
    if report.memory is not None:
        yield f"memory of a training process: {report.memory.total / 2**30:.1f} GiB"
    if report.expected is not None:
        hours = f", about {report.expected.hours:.1f} h" if report.expected.hours is not None else ""
        yield f"to be trained on: {report.expected.tokens:,} tokens{hours} ({report.expected.basis})"


def side_lines(name: str, side: Side) -> Iterator[str]:
    """One file, or one part of it."""
    tokens = f", {side.tokens:,} tokens, {side.supervised_tokens:,} of them supervised" if side.tokens else ""
    yield f"{name}: {side.source} ({side.format or 'rows'}): {side.examples:,} of {side.rows_read:,} rows{tokens}"
    if side.lengths:
        yield "  tokens of an example"
        yield from histogram(side.lengths)
    if side.labels:
        shown = list(side.labels.items())[:LABELS]
        yield (
            "  labels: "
            + ", ".join(f"{one_line(label)} {count:,}" for label, count in shown)
            + (" ..." if len(side.labels) > LABELS else "")
        )


def one_line(label: str) -> str:
    """A label of the dataset, whatever is in it."""
    return json.dumps(label, ensure_ascii=False)[1:-1].replace('\\"', '"')


def summary_lines(summary: DatasetSummary) -> Iterator[str]:
    """What was dropped or cut, and the spread of the lengths."""
    dropped = {
        "invalid rows": summary.invalid_rows,
        "exact duplicates": summary.duplicates,
        "rows of the validation file": summary.in_both,
        "rows without supervised tokens": summary.without_target,
    }
    if any(dropped.values()):
        yield "dropped: " + ", ".join(f"{count:,} {what}" for what, count in dropped.items() if count)
    if summary.near_duplicates:
        yield f"nearly equal to another row: {summary.near_duplicates:,}"
    if summary.truncated_examples:
        yield f"cut at the end: {summary.truncated_examples:,} examples, {summary.truncated_tokens:,} tokens"
    for what, quantiles in (("tokens", summary.lengths), ("turns", summary.turns)):
        if quantiles is not None:
            yield f"{what} of an example: {spread(quantiles)}"
    if summary.digest:
        yield f"digest: {summary.digest}"


def spread(quantiles: Quantiles) -> str:
    """Half, most, all."""
    return f"half have at most {quantiles.p50:,}, 95 % at most {quantiles.p95:,}, the longest {quantiles.max:,}"


def histogram(bins: list[Bin]) -> Iterator[str]:
    """A bar a bin."""
    most = max(bar.count for bar in bins) or 1
    for bar in dropwhile(lambda bar: bar.count == 0, bins):
        yield f"  {bar.up_to:>9,} {'#' * max(1 if bar.count else 0, round(BAR * bar.count / most)):{BAR}} {bar.count:,}"
