"""Classifiers in the loop: the losses of the blackboard however a step is cut, new heads from the seed, exact resumes."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, ModernBertConfig, ModernBertModel

from finetune_api.exit_codes import ExitCode
from finetune_api.resources.method import Sft
from finetune_text.tags import IGNORED
from finetune_trainer.classification.labelling import Labelling
from finetune_trainer.classification.learner import ClassifierLearner
from finetune_trainer.classification.loss import ClassLoss
from finetune_trainer.classification.model import load_classifier
from finetune_trainer.classification.rows import LabelledRows
from finetune_trainer.failure import StageFailure
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.tasks import TASKS
from finetune_trainer.workspace.prepared import Prepared
from tests.trainer.train.blackboard import Loss, train_plainly
from tests.trainer.train.conftest import check_resume, run_here
from tests.trainer.train.labelled import ENCODER_VOCABULARY as VOCABULARY
from tests.trainer.train.labelled import LABELS, prepare_labelled, random_rows, write_labelled
from tests.trainer.train.runs import FULL, LORA, Run

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
QLORA: dict[str, Any] = LORA | {"type": "qlora"}
IA3: dict[str, Any] = {"type": "ia3"}
CLOSE = 1e-4
ROWS = 19
"""The last step of an epoch has one row: on two ranks the second gets a filler."""


@pytest.fixture
def classify(tmp_path: Path, encoder: Path) -> Callable[..., Run]:
    """Makes a run of a kind of classifier on a workspace of its own."""

    def make(kind: str, *, base: Path = encoder, method: dict[str, Any] = LORA, hyper: dict[str, Any] | None = None, **more: Any) -> Run:
        hyper = {"checkpoint_every": 100} | (hyper or {})
        workspace = prepare_labelled(tmp_path / "workspace", base, kind, vocabulary=VOCABULARY, rows=ROWS, method=method, **hyper)
        return Run(workspace, method, task=LABELS[kind][0], **more)

    return make


@pytest.mark.parametrize("kind", LABELS)
def test_a_validation_counts_what_is_right(kind: str, classify: Callable[..., Run]) -> None:
    """Loss and accuracy of the trained model as publish scores it: the labels of all rows, the tags, or whole sets of labels."""
    run = classify(kind, method=FULL, hyper={"total_steps": 2, "validation_every": 2, "validation_examples": ROWS})
    write_labelled(run.workspace.validation_rows, random_rows(kind, ROWS, VOCABULARY))
    run_here(run)
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    learner = ClassifierLearner(run.config(), prepared, run.workspace, labelling(kind))
    scores = learner.score(learner.load(run.workspace.trained / "model", "fp32", "cpu"), lambda done, total: None).scores
    found = run.result().train.validation
    assert (found.loss, found.accuracy) == pytest.approx((scores["loss"], scores["accuracy"]), abs=1e-5)


def test_only_weights_are_in_half_precision(classify: Callable[..., Run], tmp_path: Path) -> None:
    """Rotary frequencies stay in fp32, as servers have them: in the training and for the scores."""
    sizes: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    tokens: dict[str, Any] = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
    torch.manual_seed(0)
    ModernBertModel(ModernBertConfig(**sizes, **tokens, num_attention_heads=4)).save_pretrained(tmp_path / "rotary")
    run = classify("one", base=tmp_path / "rotary", hyper={"precision": "bf16", "total_steps": 2})
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    learner = ClassifierLearner(run.config(), prepared, run.workspace, labelling("one"))
    for model in (learner.load_base(), learner.load(tmp_path / "rotary", "bf16", "cpu")):
        assert {buffer.dtype for buffer in model.buffers()} == {torch.float32}
        assert torch.bfloat16 in {parameter.dtype for parameter in model.parameters()}
    run_here(run)
    assert len(run.losses()) == 2


def labelling(kind: str) -> Labelling:
    """What the kind tells apart."""
    task, labels = LABELS[kind]
    return Labelling(TASKS[task].learner, tuple(labels), multi_label=kind == "many")  # type: ignore[arg-type]


def example_loss(kind: str, logits: torch.Tensor, labels: list[int]) -> tuple[torch.Tensor, int]:
    """Sum of the losses of one example, and how many there are."""
    wanted = torch.tensor(labels, dtype=torch.int64)
    if kind == "many":
        holds = torch.zeros(logits.shape[-1])
        holds[wanted] = 1
        return F.binary_cross_entropy_with_logits(logits[0], holds), 1
    if kind == "one":
        return F.cross_entropy(logits, wanted), 1
    return F.cross_entropy(logits[0], wanted, reduction="sum"), int((wanted != IGNORED).sum())


def loss_with_settings(kind: str, settings: dict[str, Any], labels: list[str], weights: dict[str, float]) -> Callable[..., Loss]:
    """Sum of the losses of one example as method.sft says, one prediction and one label after the other."""
    gamma, smoothing = settings.get("focalGamma", 0), settings.get("labelSmoothing", 0)

    def of(logits: torch.Tensor, found: list[int]) -> Loss:
        losses = []
        if kind == "many":
            each = []
            for place, label in enumerate(labels):
                right = torch.sigmoid(logits[0, place] if place in found else -logits[0, place])
                each.append(weights.get(label, 1) * (1 - right) ** gamma * -torch.log(right))
            return sum(each, torch.zeros(())) / len(labels), 1
        for row, wanted in zip(logits.reshape(-1, len(labels)), found, strict=True):
            if wanted == IGNORED:
                continue
            shares = [
                1 - smoothing + smoothing / len(labels) if place == wanted else smoothing / len(labels) for place in range(len(labels))
            ]
            odds = torch.softmax(row, -1)
            terms = [share * weights.get(label, 1) * -torch.log(p) for share, label, p in zip(shares, labels, odds, strict=True)]
            losses.append((1 - odds[wanted]) ** gamma * sum(terms, torch.zeros(())))
        return sum(losses, torch.zeros(())), len(losses)

    return of


def blackboard(run: Run, kind: str, loss: Callable[..., Loss] | None = None) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step: every example by itself, no Trainer, no padding, no mask."""
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    hyper, rows = prepared.hyperparameters, random_rows(kind, ROWS, VOCABULARY)
    model: Any = ClassifierLearner(run.config(), prepared, run.workspace, labelling(kind)).load_base().train()
    labelled = LabelledRows(run.workspace.train_rows, labelling(kind))
    plan = StepPlan(labelled.lengths, labelled.supervised, hyper.batch_size, hyper.micro_batch_tokens, hyper.seed)

    def loss_of(row: int) -> Loss:
        ids, types, labels = rows[row]
        logits = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types])).logits
        return loss(logits, labels) if loss else example_loss(kind, logits, labels)

    return train_plainly(model, plan, hyper, loss_of, undecayed=lambda name: name.endswith(("LayerNorm.weight", "bias")) or "ia3_l" in name)


@pytest.mark.parametrize("method", [LORA, QLORA, IA3, FULL], ids=["lora", "qlora", "ia3", "full"])
@pytest.mark.parametrize("kind", LABELS)
def test_losses_and_gradients_are_those_of_the_blackboard(kind: str, method: dict[str, Any], classify: Callable[..., Run]) -> None:
    """One label, several labels and a label a token; LoRA, QLoRA, IA3 and full; padded beside each other or alone."""
    run = classify(kind, method=method)
    run_here(run)
    for step, (loss, norm) in zip(run.metrics(), blackboard(run, kind), strict=True):
        assert step.loss == pytest.approx(loss, abs=CLOSE), step
        assert step.grad_norm == pytest.approx(norm, rel=1e-3), step


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("one", {"labelSmoothing": 0.2, "classWeights": {"a": 3.0}}),
    ("one", {"balancedClasses": True, "focalGamma": 2}),
    ("many", {"focalGamma": 2, "classWeights": {"b": 0.5}}),
    ("tokens", {"balancedClasses": True}),
]


@pytest.mark.parametrize(("kind", "settings"), SETTINGS)
def test_the_settings_of_the_loss_are_those_of_the_blackboard(kind: str, settings: dict[str, Any], classify: Callable[..., Run]) -> None:
    """Smoothed labels, weights of classes, the focus on what is still wrong. Weights are 1 on average over all training rows, except for
    lists of labels."""
    labels, found = LABELS[kind][1], random_rows(kind, ROWS, VOCABULARY)
    counts = Counter(labels[label] for _, _, row in found for label in row if label != IGNORED)
    even = {label: sum(counts.values()) / (len(counts) * count) for label, count in counts.items()}
    weights = even if settings.get("balancedClasses") else settings.get("classWeights", {})
    if kind != "many":
        average = sum(weights.get(label, 1) * count for label, count in counts.items()) / sum(counts.values())
        weights = {label: weights.get(label, 1) / average for label in labels}
    run = classify(kind, method=LORA | {"sft": settings}, hyper={"total_steps": 3})
    run_here(run)
    plain = blackboard(run, kind, loss_with_settings(kind, settings, labels, weights))
    for step, (loss, norm) in zip(run.metrics(), plain, strict=True):
        assert step.loss == pytest.approx(loss, abs=CLOSE), step
        assert step.grad_norm == pytest.approx(norm, rel=1e-3), step


@pytest.mark.parametrize("settings", [{"labelSmoothing": 0.1}, {"focalGamma": 2.0}], ids=str)
def test_equal_weights_of_classes_change_no_loss(settings: dict[str, Any]) -> None:
    """Whatever their size."""
    logits, targets, counts = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 0]), np.array([10, 0, 4])
    labels = Labelling("sequence", ("a", "b", "c"))
    weighted, plain = (
        ClassLoss.of(Sft.model_validate(settings | more), labels, counts).sum(logits, targets)
        for more in ({"classWeights": {"a": 100, "b": 100, "c": 100}}, {})
    )
    assert weighted == pytest.approx(plain)


def test_the_gradient_of_a_certain_answer_is_finite() -> None:
    """Where the probability of the right label is 1 in fp32, with a power below 1."""
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    ClassLoss(gamma=0.5).sum(logits, torch.tensor([0])).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("budget", "checkpointing"), [(1, False), (1000, False), (60, True)])
def test_neither_budget_nor_checkpointing_changes_a_loss(budget: int, checkpointing: bool, classify: Callable[..., Run]) -> None:
    """One example a micro-batch, or the whole step; activations kept, or computed again."""
    run = classify("tokens", hyper={"micro_batch_tokens": budget, "gradient_checkpointing": checkpointing})
    run_here(run)
    assert run.losses() == pytest.approx([loss for loss, _ in blackboard(run, "tokens")], abs=CLOSE)


def test_two_ranks_compute_what_one_does(classify: Callable[..., Run]) -> None:
    """With a filler on the second rank at the end of an epoch."""
    run = classify("one", method=FULL, processes=2, hyper={"micro_batch_tokens": 1000})
    assert run.attempt() == ExitCode.OK
    assert run.losses() == pytest.approx([loss for loss, _ in blackboard(run, "one")], abs=CLOSE)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_next_attempt_goes_on_exactly(precision: str, classify: Callable[..., Run], tmp_path: Path) -> None:
    """Adapter, head and optimizer come back whole, with dropout."""
    lora: dict[str, Any] = LORA["lora"] | {"dropout": 0.1}
    run = classify("many", method={"type": "lora", "lora": lora}, hyper={"precision": precision})
    check_resume(run, tmp_path)
    weights = load_file(run.workspace.trained / "adapter" / "adapter_model.safetensors")
    assert {"base_model.model.classifier.weight", "base_model.model.classifier.bias"} <= weights.keys(), "the head is trained, too"
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("labels", "problem", "words"),
    [
        (["a", "b", "c"], "single_label_classification", "the base's own head for the same labels"),
        (["a", "b", "x"], "single_label_classification", "because the base has other labels (a, b, x)"),
        (["a", "b"], "single_label_classification", "because the base has other labels (a, b)"),
        (["a", "b", "c"], "multi_label_classification", "because the base gives several labels to a text"),
    ],
)
def test_a_classifier_keeps_its_head_for_the_same_labels(
    labels: list[str], problem: str, words: str, encoder: Path, tmp_path: Path
) -> None:
    """Any other base gets a head that depends on the seed alone."""
    torch.manual_seed(99)
    base: Any = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=len(labels), id2label=dict(enumerate(labels)), problem_type=problem
    )
    base.save_pretrained(tmp_path / "base")
    found = load_classifier(tmp_path / "base", labelling("one"), seed=1)
    assert words in found.head
    kept = found.model.classifier.weight.shape == base.classifier.weight.shape and torch.equal(
        found.model.classifier.weight, base.classifier.weight
    )
    assert kept == ("own head" in found.head)
    fresh = load_classifier(encoder, labelling("one"), seed=1).model
    assert torch.equal(found.model.classifier.weight, fresh.classifier.weight) != kept
    assert (fresh.config.id2label, fresh.config.problem_type) == ({0: "a", 1: "b", 2: "c"}, "single_label_classification")
    assert fresh.classifier.bias.abs().max() == 0


def test_a_kind_of_model_that_does_not_classify(tmp_path: Path) -> None:
    """The message names the field to change."""
    (tmp_path / "config.json").write_text('{"model_type": "whisper", "architectures": ["WhisperModel"]}')
    with pytest.raises(StageFailure, match=r"cannot load .* with AutoModelForTokenClassification") as caught:
        load_classifier(tmp_path, labelling("tokens"), seed=1)
    assert caught.value.error.param == "base.source"
