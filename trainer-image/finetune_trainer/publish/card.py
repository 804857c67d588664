"""README.md of a model directory: a model card in the form that the Hugging Face hub shows."""

import json
from collections.abc import Iterable, Mapping, Sequence

from finetune_api.comparison import compared
from finetune_api.dataset_report import REPORT_FILE
from finetune_api.metrics import Metric, Scores, listed_metrics
from finetune_api.model_directory import EvaluationReport, Interval, Intervals, Lineage, ModelDescription, SkewCheck, checkpoint_folder
from finetune_api.result import json_text
from finetune_trainer.artifacts import ARTIFACTS
from finetune_trainer.methods import METHODS
from finetune_trainer.publish.calls import Prompting, calling, loading
from finetune_trainer.tasks import find_task
from finetune_trainer.workspace.prepared import Prepared


def model_card(manifest: ModelDescription, prepared: Prepared, prompting: Prompting, *, reported: bool) -> str:
    """The card's whole text; `reported`: report.json is among the files."""
    lineage, report = manifest.lineage, manifest.evaluation
    assert lineage is not None and report is not None, "publish writes both"
    sections = [
        front_matter(manifest, lineage),
        f"# {manifest.model}",
        introduction(manifest, lineage),
        *labels(manifest),
        *checkpoints(manifest),
        "## Evaluation",
        *evaluation(manifest, report),
        "## Data",
        data(lineage, prepared),
        "## Training",
        training(lineage),
        "## Files",
        artifacts(manifest, reported),
        "## How to call",
        calling(manifest, prompting),
        "## How to load",
        loading(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(manifest: ModelDescription, lineage: Lineage) -> str:
    """YAML; JSON's strings and lists are YAML, too."""
    method = str(lineage.hyperparameters["method"])
    kinds = sorted({artifact.format for artifact in manifest.artifacts})
    how = "full-fine-tuning" if method == "full" else method
    tags = ["finetune-operator", manifest.task, str(lineage.hyperparameters["objective"]), how, *kinds]
    fields: dict[str, object] = {
        "library_name": "sentence-transformers" if find_task(manifest.task).learner == "embedding" else "transformers",
        "pipeline_tag": find_task(manifest.task).pipeline,
        "tags": tags,
        "base_model": lineage.base,
        "model_name": manifest.model,
    }
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"])


def introduction(manifest: ModelDescription, lineage: Lineage) -> str:
    """One sentence: what was made of what."""
    base = f"`{lineage.base}`" + (f" (the FineTunedModel {lineage.base_model})" if lineage.base_model else "")
    method = METHODS[str(lineage.hyperparameters["method"])]
    how = f"trained with {method.title}, its adapter merged into the base," if manifest.type == "adapter" else f"{method.title},"
    made = f"A fine-tuned {manifest.task} model: {how} starting from {base}, by FineTuneJob {lineage.namespace}/{lineage.job}."
    return f"{made} The weights are those of step {manifest.step}."


def labels(manifest: ModelDescription) -> Iterable[str]:
    """The labels of a classifier."""
    if manifest.labels:
        how = "Labels are independent: several or none may apply." if manifest.multi_label else ""
        names = ", ".join(map(code, manifest.labels))
        yield f"Its {len(manifest.labels)} labels: {names}. {how}".rstrip()


def checkpoints(manifest: ModelDescription) -> Iterable[str]:
    """Other steps of the training."""
    if manifest.checkpoints:
        yield "## Checkpoints"
        yield "Other steps of the same training, each a model directory of its own with its card:"
        rows = [
            (f"`{checkpoint_folder(found.step)}/`", number(found.loss), number(found.validation_loss), f"{found.size_bytes / 1e6:.1f} MB")
            for found in manifest.checkpoints
        ]
        yield table(("folder", "training loss", "validation loss", "size"), rows)


def number(value: float | None) -> str:
    """A loss, if it is known."""
    return "" if value is None else f"{value:.3f}"


def code(name: str) -> str:
    """A name from the dataset as code on one line, whatever it contains."""
    text = json.dumps(name, ensure_ascii=False)[1:-1].replace('\\"', '"')
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def asked(check: SkewCheck) -> str:
    """Whether requests have the tokens of the training."""
    if check.difference:
        parted = f"{check.prompts - check.equal} of {check.prompts} prompts"
        return f"**Requests are tokenized differently than in training** ({parted}): {check.difference}."
    return f"A server produces the tokens of training for all {check.prompts} validation prompts that were compared."


def evaluation(manifest: ModelDescription, report: EvaluationReport) -> Iterable[str]:
    """Scores of both models, the gate's verdicts and the exports' parity."""
    yield measured(manifest, report)
    yield scores(report)
    if report.intervals:
        yield "In parentheses: 95 % confidence intervals over the choice of the validation rows (paired bootstrap)."
    if (comparison := compared(report.base, report.tuned)).verdict != "better":
        yield f"**The tuned model is not better than its base**: {comparison.text}."
    if report.gate:
        yield table(("gate", "held"), [(gate.text, "yes" if gate.passed else "no") for gate in report.gate])
    proven = {artifact.path: ARTIFACTS[artifact.format] for artifact in manifest.artifacts}
    for parity in report.parity:
        yield proven[parity.artifact].proof(parity)
    if manifest.skew_check is not None and manifest.skew_check.prompts:
        yield asked(manifest.skew_check)


def measured(manifest: ModelDescription, report: EvaluationReport) -> str:
    """What was measured, and in which units."""
    if find_task(manifest.task).learner == "token":
        return (
            f"{report.examples} validation examples, {report.tokens} labelled tokens; loss in nats per token, accuracy over these tokens, "
            "f1 over whole entities. The base is the base model with a new head."
        )
    if manifest.labels:
        accuracy = "the share of examples with all labels right" if manifest.multi_label else "the share of examples that are right"
        return (
            f"{report.examples} validation examples; loss in nats per example, accuracy is {accuracy}, f1 the mean over labels. "
            "The base is the base model with a new head."
        )
    if find_task(manifest.task).learner == "embedding":
        if "recallAt1" not in report.tuned:
            return f"{report.examples} validation pairs; loss is the mean squared difference between cosine similarity and score."
        return (
            f"{report.examples} validation rows; loss in nats per anchor, among the texts of a batch; recall is the share of anchors whose "
            "positive is the closest text, or among the closest ten, of all positives and negatives."
        )
    if "kl" in report.tuned:
        return (
            f"{report.examples} validation answers; loss is the mean of the objective's (no unit), perplexity that of the desirable "
            "answers, rewardAccuracy the share of answers that the model finds more likely than the base if they are desirable, less "
            "likely if not, rewardMargin the difference between the mean rewards of desirable and undesirable answers, kl an estimate of "
            "the divergence from the base in nats per answer. The base has 0.5, 0 and 0 by definition."
        )
    if "rewardMargin" in report.tuned:
        relative = " The base has 0.5 and 0 by definition." if report.base.get("rewardMargin") == 0 else ""
        return (
            f"{report.examples} validation pairs; loss in nats per pair, perplexity of the preferred answers, rewardAccuracy is the share "
            f"of pairs whose preferred answer has the higher reward, rewardMargin the mean difference.{relative}"
        )
    return f"{report.examples} validation examples, {report.tokens} supervised tokens; loss in nats per token."


def scores(report: EvaluationReport) -> str:
    """Base against tuned, in the metrics that were measured."""
    metrics = listed_metrics(report.tuned)
    chance = report.intervals or Intervals()
    rows = [("base", *figures(report.base, metrics, chance.base)), ("tuned", *figures(report.tuned, metrics, chance.tuned))]
    if report.intervals:
        gains = {name: value - report.base[name] for name, value in report.tuned.items() if name in report.base}
        rows.append(("difference", *figures(gains, metrics, chance.difference)))
    return table(("model", *(metric.name for metric in metrics)), rows)


def figures(values: Scores, metrics: Iterable[Metric], chance: Mapping[str, Interval]) -> list[str]:
    """These metrics as text, with their intervals."""
    return [
        format(values[metric.name], metric.form) + spread(metric, chance.get(metric.name)) if metric.name in values else ""
        for metric in metrics
    ]


def spread(metric: Metric, interval: Interval | None) -> str:
    """ " (2.4100 to 2.5900)"."""
    return f" ({format(interval.low, metric.form)} to {format(interval.high, metric.form)})" if interval else ""


def data(lineage: Lineage, prepared: Prepared) -> str:
    """What the model was trained on."""
    counts = prepared.summary.dataset
    rows = [
        ("training file", f"`{lineage.dataset}`"),
        ("training examples", counts.train_examples),
        ("training tokens", counts.train_tokens),
        ("of them supervised", counts.supervised_tokens),
        ("validation examples", counts.validation_examples),
        ("truncated examples", counts.truncated_examples),
        ("invalid rows dropped", counts.invalid_rows),
        ("duplicates dropped", counts.duplicates),
        ("digest", f"`{counts.digest}`"),
    ]
    return table(("", ""), rows)


def training(lineage: Lineage) -> str:
    """Settings, and the versions of the packages that computed the model."""
    rows = [(name, json_text(value)) for name, value in sorted(lineage.hyperparameters.items())]
    rows += [("base digest", f"`{lineage.base_digest}`"), ("spec digest", f"`{lineage.spec_digest}`")]
    rows += [("image", f"`{lineage.image}`")] if lineage.image else []
    versions = ", ".join(f"{name} {version}" for name, version in lineage.versions.items())
    return table(("setting", "value"), rows) + f"\n\nComputed with {versions}."


def artifacts(manifest: ModelDescription, reported: bool) -> str:
    """What can be loaded."""
    rows = [(f"`{a.path}/`", a.format, a.precision, f"{a.size_bytes / 1e6:.1f} MB") for a in manifest.artifacts]
    report = f"{REPORT_FILE} is what was found in the dataset. " if reported else ""
    without = "".join(f"\n\nNot written: {missing.text}." for missing in manifest.missing_artifacts)
    return table(("folder", "format", "precision", "size"), rows) + f"{without}\n\n{report}MANIFEST.json holds the sha256 of every file."


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
