"""README.md of a model directory: a model card in the form that the Hugging Face hub shows."""

import json
from collections.abc import Iterable, Sequence

from finetune_api.model_directory import EvaluationReport, Lineage, Manifest
from finetune_trainer.prepared import Prepared


def model_card(manifest: Manifest, prepared: Prepared) -> str:
    """The card's whole text."""
    lineage, report = manifest.lineage, manifest.evaluation
    assert lineage is not None and report is not None, "publish writes both"
    sections = [
        front_matter(manifest, lineage),
        f"# {manifest.model}",
        introduction(manifest, lineage),
        "## Evaluation",
        *evaluation(report),
        "## Data",
        data(lineage, prepared),
        "## Training",
        training(lineage),
        "## Files",
        artifacts(manifest),
        "## How to load",
        loading(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(manifest: Manifest, lineage: Lineage) -> str:
    """YAML; JSON's strings and lists are YAML, too."""
    kinds = sorted({artifact.format for artifact in manifest.artifacts})
    tags = ["finetune-operator", "sft", "lora" if manifest.type == "adapter" else "full-fine-tuning", *kinds]
    fields: dict[str, object] = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": tags}
    fields |= {"base_model": lineage.base, "model_name": manifest.model}
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"])


def introduction(manifest: Manifest, lineage: Lineage) -> str:
    """One sentence: what was made of what."""
    base = f"`{lineage.base}`" + (f" (the FineTunedModel {lineage.base_model})" if lineage.base_model else "")
    how = "a LoRA adapter, merged into the base," if manifest.type == "adapter" else "all weights trained,"
    return f"A fine-tuned {manifest.task} model: {how} starting from {base}, by FineTuneJob {lineage.namespace}/{lineage.job}."


def evaluation(report: EvaluationReport) -> Iterable[str]:
    """Scores of both models, the gate's verdicts and the exports' parity."""
    yield f"{report.examples} held-out examples, {report.tokens} supervised tokens; loss in nats per token."
    yield scores(report)
    if report.gate:
        yield table(("gate", "held"), [(gate.text, "yes" if gate.passed else "no") for gate in report.gate])
    for parity in report.parity:
        yield (
            f"`{parity.artifact}` gives the same greedy answers as PyTorch in fp32: {parity.equal} of {parity.prompts} held-out "
            f"prompts, up to {parity.tokens} tokens each."
        )


def scores(report: EvaluationReport) -> str:
    """Base against tuned."""
    rows = [(name, f"{score.loss:.4f}", f"{score.perplexity:.2f}") for name, score in (("base", report.base), ("tuned", report.tuned))]
    return table(("model", "loss", "perplexity"), rows)


def data(lineage: Lineage, prepared: Prepared) -> str:
    """What the model has seen."""
    counts = prepared.summary.dataset
    rows = [
        ("training file", f"`{lineage.dataset}`"),
        ("training examples", counts.train_examples),
        ("training tokens", counts.train_tokens),
        ("of them supervised", counts.supervised_tokens),
        ("held-out examples", counts.validation_examples),
        ("truncated examples", counts.truncated_examples),
        ("duplicates dropped", counts.duplicates),
        ("digest", f"`{counts.digest}`"),
    ]
    return table(("", ""), rows)


def training(lineage: Lineage) -> str:
    """Settings, and what the numbers were computed with."""
    rows = [*sorted(lineage.hyperparameters.items())]
    rows += [("base digest", f"`{lineage.base_digest}`"), ("spec digest", f"`{lineage.spec_digest}`")]
    rows += [("image", f"`{lineage.image}`")] if lineage.image else []
    versions = ", ".join(f"{name} {version}" for name, version in lineage.versions.items())
    return table(("setting", "value"), rows) + f"\n\nComputed with {versions}."


def artifacts(manifest: Manifest) -> str:
    """What can be loaded."""
    rows = [(f"`{a.path}/`", a.format, a.precision, f"{a.size_bytes / 1e6:.1f} MB") for a in manifest.artifacts]
    return table(("folder", "format", "precision", "size"), rows) + "\n\nMANIFEST.json holds the sha256 of every file."


def loading(manifest: Manifest) -> str:
    """A snippet per artifact."""
    lines = ["```python", "from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    lines += ['model = AutoModelForCausalLM.from_pretrained("model")', 'tokenizer = AutoTokenizer.from_pretrained("model")']
    if any(artifact.format == "onnx" for artifact in manifest.artifacts):
        lines += ["", "import onnxruntime_genai", "", 'model = onnxruntime_genai.Model("onnx/fp32")']
    return "\n".join([*lines, "```"])


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
