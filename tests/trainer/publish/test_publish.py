"""publish as a whole, on a real model of two layers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime_genai
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_api.model_directory import EvaluationReport, Interval, Intervals, Manifest, SkewCheck
from finetune_api.resources.learning import Precision
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure
from finetune_trainer.inspect.main import inspect_model
from finetune_trainer.learners import learner_of
from finetune_trainer.publish.card import evaluation
from finetune_trainer.publish.main import publish
from finetune_trainer.trained import read_trained_run
from finetune_trainer.workspace.files import COMPLETE
from finetune_trainer.workspace.workspace import Workspace

pytestmark = pytest.mark.trainer
MakeConfig = Callable[..., RunConfig]
Rows = list[tuple[list[int], list[bool]]]


def manifest_of(config: RunConfig) -> Manifest:
    """The manifest that publish wrote."""
    return Manifest.from_json(Path(config.paths.model, "MANIFEST.json").read_bytes())


def load(folder: Path) -> Any:
    """A model in fp32."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def plain_loss(model: Any, rows: Rows) -> float:
    """Mean loss as transformers computes it from labels, row by row without padding."""
    total, count = 0.0, 0
    for tokens, supervised in rows:
        labels = [token if counts else -100 for token, counts in zip(tokens, supervised, strict=True)]
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([tokens]), labels=torch.tensor([labels])).loss
        total += float(loss) * sum(supervised)
        count += sum(supervised)
    return total / count


def test_scores_are_those_of_a_plain_forward_pass(published: RunConfig, tiny: Path, rows: Rows) -> None:
    """Base and tuned get the loss that transformers itself computes, whatever the batching."""
    evaluation = manifest_of(published).evaluation
    assert evaluation is not None
    assert evaluation.base["loss"] == pytest.approx(plain_loss(load(tiny), rows), abs=1e-5)
    assert evaluation.tuned["loss"] == pytest.approx(plain_loss(load(Path(published.paths.model) / "model"), rows), abs=1e-5)
    assert (evaluation.examples, evaluation.tokens) == (len(rows), sum(sum(supervised) for _, supervised in rows))
    assert evaluation.base["loss"] != pytest.approx(evaluation.tuned["loss"], abs=1e-3)


def test_merged_model_is_base_plus_adapter(published: RunConfig, tiny: Path, rows: Rows) -> None:
    """model/ answers as the base with the published adapter/ does."""
    root = Path(published.paths.model)
    ids = torch.tensor([rows[0][0]])
    with torch.no_grad():
        merged = load(root / "model")(ids).logits
        adapted = PeftModel.from_pretrained(load(tiny), str(root / "adapter"))(ids).logits
    torch.testing.assert_close(merged, adapted, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("precision", "computed"), [("fp16", "fp32"), ("bf16", "bf16")])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_scores_are_those_of_the_published_model(
    method: str, precision: Precision, computed: Precision, folder: Path, make_config: Callable[..., RunConfig]
) -> None:
    """As it is loaded from its folder; on a CPU a model in fp16 is computed in fp32, with the numbers that it is published with."""
    config = make_config(folder, method=method, precision=precision)
    publish(config, 1)
    manifest, run = manifest_of(config), read_trained_run(config)
    assert manifest.evaluation is not None and manifest.artifacts[0].precision == precision
    learner = learner_of(config, run.prepared, run.workspace)
    loaded = learner.load(Path(config.paths.model, "model"), computed, "cpu")
    assert manifest.evaluation.tuned["loss"] == pytest.approx(learner.score(loaded, lambda done, total: None).scores["loss"], abs=1e-6)


def test_directory_holds_what_loaders_expect(published: RunConfig, tiny: Path) -> None:
    """The merged model and the ONNX model carry the base's tokenizer and chat template; weights are safetensors."""
    root = Path(published.paths.model)
    expected = AutoTokenizer.from_pretrained(tiny)
    for folder in (root / "model", root / "onnx" / "fp32"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert tokenizer.get_chat_template() == expected.get_chat_template()
        assert (folder / "chat_template.jinja").exists()
    assert {path.suffix for path in root.rglob("*") if path.is_file()} <= {
        ".json", ".safetensors", ".jinja", ".onnx", ".data", ".csv", ".md", ".publish",
    }  # fmt: skip
    assert not (root / ".publishing").exists()
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in root.rglob("*")), "servers run as another user"


def test_the_model_is_asked_what_was_trained(published: RunConfig) -> None:
    """The manifest and the card say of how many held-out prompts that was shown."""
    root = Path(published.paths.model)
    check = Manifest.from_json((root / "MANIFEST.json").read_bytes()).skew_check
    assert check == SkewCheck(prompts=4, equal=4)
    assert "the tokens of training for all 4 validation prompts" in (root / "README.md").read_text()


def test_adapter_names_the_base_as_the_user_did(published: RunConfig) -> None:
    """No path of a pod gets into the adapter's config."""
    config = json.loads(Path(published.paths.model, "adapter", "adapter_config.json").read_bytes())
    assert config["base_model_name_or_path"] == "pvc://models/tiny"


def test_onnx_model_runs_in_onnxruntime_genai(published: RunConfig) -> None:
    """The exported folder is one that onnxruntime-genai loads, with the same greedy answer as PyTorch."""
    root = Path(published.paths.model)
    model = onnxruntime_genai.Model(str(root / "onnx" / "fp32"))
    prompt = onnxruntime_genai.Tokenizer(model).encode("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(max_length=len(prompt) + 8, do_sample=False)
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(prompt)
    while not generator.is_done():
        generator.generate_next_token()
    expected = load(root / "model").generate(torch.tensor([list(prompt)]), max_new_tokens=8, do_sample=False)
    assert list(generator.get_sequence(0)) == expected[0].tolist()


def test_manifest_tells_lineage_and_parity(published: RunConfig) -> None:
    """The manifest says where the model comes from and that its export was proven."""
    manifest = manifest_of(published)
    assert [(a.format, a.precision, a.path) for a in manifest.artifacts] == [
        ("safetensors", "fp32", "model"),
        ("adapter", "fp32", "adapter"),
        ("onnx", "fp32", "onnx/fp32"),
    ]
    lineage, evaluation = manifest.lineage, manifest.evaluation
    assert lineage is not None
    assert evaluation is not None
    assert (lineage.spec_digest, lineage.dataset_digest, lineage.base) == ("d1", "data-digest", "pvc://models/tiny")
    assert lineage.hyperparameters["loraRank"] == 4
    assert {"torch", "transformers", "onnxruntime"} <= set(lineage.versions)
    assert [(p.artifact, p.prompts, p.equal) for p in evaluation.parity] == [("onnx/fp32", 3, 3)]


def test_card_shows_scores_and_front_matter(published: RunConfig) -> None:
    """README.md is a model card that the hub reads."""
    card = Path(published.paths.model, "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "transformers"\n')
    assert 'base_model: "pvc://models/tiny"' in card
    tuned = manifest_of(published).evaluation
    assert tuned is not None
    assert f"| tuned | {tuned.tuned['loss']:.4f} |" in card
    assert tuned.intervals is None and "intervals" not in card  # of three rows


def test_card_shows_intervals(published: RunConfig) -> None:
    """Behind the scores and their differences, of what has one."""
    chance = Intervals(tuned={"loss": Interval(low=2.25, high=2.75)}, difference={"loss": Interval(low=-1.75, high=-1.25)})
    report = EvaluationReport(
        examples=40, tokens=90, base={"loss": 4, "perplexity": 54.6}, tuned={"loss": 2.5, "perplexity": 12.18}, intervals=chance
    )
    manifest = manifest_of(published).model_copy(update={"evaluation": report})
    lines = "\n".join(evaluation(manifest, report)).splitlines()
    assert {
        "| base | 4.0000 | 54.60 |",
        "| tuned | 2.5000 (2.2500 to 2.7500) | 12.18 |",
        "| difference | -1.5000 (-1.7500 to -1.2500) | -42.42 |",
        "In parentheses: 95 % confidence intervals over the choice of the validation rows (paired bootstrap).",
    } <= set(lines)


def test_inspect_accepts_what_publish_wrote(published: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """Every checksum of a fresh model holds, and inspect repeats what the manifest says."""
    assert inspect_model(published.paths.model) == 0
    summary = json.loads(capsys.readouterr().out)["inspect"]
    assert (summary["job"], summary["specDigest"], summary["datasetDigest"]) == ("bot", "d1", "data-digest")
    assert summary["sizeBytes"] == sum(p.stat().st_size for p in Path(published.paths.model).rglob("*") if p.is_file()) - (
        Path(published.paths.model, "MANIFEST.json").stat().st_size
    )


def test_publish_repeats_a_finished_model(published: RunConfig) -> None:
    """A lost result costs nothing: the second run reads the manifest and touches no file."""
    before = {path: path.stat().st_mtime_ns for path in Path(published.paths.model).rglob("*")}
    result = publish(published, 2)
    assert result.publish is not None
    assert result.publish.evaluation == manifest_of(published).evaluation
    assert {path: path.stat().st_mtime_ns for path in Path(published.paths.model).rglob("*")} == before


def test_another_model_is_not_overwritten(published: RunConfig) -> None:
    """A model directory of another spec is refused by name and stays as it is."""
    other = published.model_copy(update={"job": published.job.model_copy(update={"spec_digest": "d2"})})
    workspace = Workspace(published.paths.workspace)
    texts = {path: path.read_text() for path in (workspace.prepared, workspace.trained / COMPLETE)}
    for path, text in texts.items():
        path.write_text(text.replace('"specDigest":"d1"', '"specDigest":"d2"').replace('"owner":"d1 ', '"owner":"d2 '))
    try:
        with pytest.raises(StageFailure, match="already holds the model bot-v1 of job bot") as caught:
            publish(other, 1)
    finally:
        for path, text in texts.items():
            path.write_text(text)
    assert caught.value.error.code == "OutputExists"


def test_full_fine_tuning_in_bf16(make_config: MakeConfig, folder: Path, trained: Path) -> None:
    """Whole trained weights become model/ in the training's precision, without an adapter."""
    config = make_config(folder, method="full", precision="bf16")
    result = publish(config, 1)
    manifest = manifest_of(config)
    assert [(a.format, a.precision) for a in manifest.artifacts] == [("safetensors", "bf16")]
    expected = load(trained / "model").get_input_embeddings().weight.to(torch.bfloat16)
    assert torch.equal(load(folder / "model" / "model").get_input_embeddings().weight.to(torch.bfloat16), expected)
    assert result.publish is not None
    assert result.publish.evaluation.parity == []
    assert inspect_model(config.paths.model) == 0
