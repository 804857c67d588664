"""Classifiers from rows to a proven model, on the real encoder: prepare, train and publish in this process."""

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from peft import PeftModel
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer, pipeline

from finetune_api.model_directory import EvaluationReport, Manifest
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.onnx.classifier_graph import OnnxClassifier
from finetune_trainer.artifacts.onnx.classifier_parity import prove_labels
from finetune_trainer.classification.labelling import Labelling
from finetune_trainer.classification.model import load_classifier
from finetune_trainer.classification.rows import LabelledRows
from finetune_trainer.failure import StageFailure
from finetune_trainer.inspect.main import inspect_model
from finetune_trainer.prepare.main import prepare
from finetune_trainer.publish.main import publish
from finetune_trainer.tasks import TASKS
from finetune_trainer.train.launch.exchange import Assignment
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.rank import Rank
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
GOODS = ("pills", "watches", "loans", "casino chips", "lottery tickets", "crypto coins", "diplomas", "phones")
PEOPLE = ("Maria", "Tom", "Olga", "Ahmed", "Li Wei", "Anna", "John Smith", "Peter")
PLACES = ("Paris", "Rome", "New York", "Oslo", "Lima", "Cairo", "Sao Paulo", "Kyoto")


def mails() -> list[dict[str, Any]]:
    """Spam and ham; labels of one kind."""
    spam = (
        "Buy cheap {} now and win a big prize!",
        "Special offer: {} for free, click here today",
        "You won! Claim your {} with this link",
    )
    ham = ("Hi {}, are we still meeting for lunch on Monday?", "Dear {}, please find the minutes of the meeting", "{} will send the report")
    rows = [{"text": text.format(word), "label": "spam"} for text, word in product(spam, GOODS)]
    return rows + [{"text": text.format(word), "label": "ham"} for text, word in product(ham, PEOPLE)]


def letters() -> list[dict[str, Any]]:
    """Complaints about several things at once."""
    parts = {"delivery": "the parcel from {} came two weeks late", "billing": "the invoice I got in {} is too high"}
    rows: list[dict[str, Any]] = [
        {"text": f"{words.format(place)}.", "label": [label]} for label, words in parts.items() for place in PLACES
    ]
    rows += [{"text": f"{' and '.join(parts.values())}.".format(place, place), "label": ["billing", "delivery"]} for place in PLACES]
    return rows + [{"text": f"Greetings from {place}, all is well.", "label": []} for place in PLACES]


def orders() -> list[dict[str, Any]]:
    """Sentences with persons and places."""
    rows = []
    for who, where in product(PEOPLE, PLACES):
        words, tags = ["Please", "send"], ["O", "O"]
        for text, name in ((who, "PER"), ("a", ""), ("letter", ""), ("to", ""), (where, "LOC")):
            inside = text.split()
            words += inside
            tags += [f"{'B' if place == 0 else 'I'}-{name}" if name else "O" for place in range(len(inside))]
        rows.append({"tokens": words, "tags": tags})
    return rows


@dataclass
class Case:
    """One trained and published classifier."""

    config: RunConfig

    @property
    def root(self) -> Path:
        """The model directory."""
        return Path(self.config.paths.model)

    @property
    def manifest(self) -> Manifest:
        """What it says."""
        return Manifest.from_json((self.root / "MANIFEST.json").read_bytes())

    @property
    def evaluation(self) -> EvaluationReport:
        """Base against tuned."""
        assert self.manifest.evaluation is not None
        return self.manifest.evaluation

    @property
    def prepared(self) -> Prepared:
        """prepare's decisions."""
        return Prepared.from_json(Workspace(self.config.paths.workspace).prepared.read_bytes())

    @property
    def labelling(self) -> Labelling:
        """What it tells apart."""
        return Labelling(TASKS[self.config.task].learner, tuple(self.manifest.labels), self.manifest.multi_label)  # type: ignore[arg-type]

    def held_out(self) -> LabelledRows:
        """The rows that it is measured on."""
        return LabelledRows(Workspace(self.config.paths.workspace).validation_rows, self.labelling)


def make(
    assets: Path, folder: Path, rows: list[dict[str, Any]], task: str, method: dict[str, Any], rate: float, onnx: bool, **checkpoints: Any
) -> Case:
    """All stages, twelve steps."""
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = RunConfig.model_validate(
        {
            "job": {"name": "letters", "specDigest": "digest"},
            "task": task,
            "base": {"source": {"uri": str(assets / "all-minilm-l6-v2"), "shownAs": "pvc://models/minilm"}},
            "dataset": {"train": {"uri": str(data)}, "split": {"fraction": 0.25}},
            "method": method,
            "hyperparameters": {"maxSteps": 12, "batchSize": 16, "learningRate": rate, "precision": "fp32"},
            "checkpoints": {"everySteps": 100} | checkpoints,
            "evaluation": {"gate": [{"metric": "accuracy", "betterThanBase": True, "minimum": 0.8}]},
            "export": {"onnx": {"parityPrompts": 12}} if onnx else {},
            "outputModel": "letters-v1",
            "paths": {"workspace": str(folder / "workspace"), "model": str(folder / "model")},
        }
    )
    prepare(config, 1)
    Rank(Assignment(config=config, attempt=1), Heartbeat(folder / "beat"), lambda: False).run()
    publish(config, 1)
    return Case(config)


LORA = {"type": "lora", "lora": {"rank": 8, "alpha": 16}}


@pytest.fixture(scope="session")
def spam(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """One label, LoRA, exported."""
    return make(assets, tmp_path_factory.mktemp("spam"), mails(), "sequence-classification", LORA, 3e-3, onnx=True)


@pytest.fixture(scope="session")
def complaints(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Several labels, all weights."""
    full: dict[str, Any] = {"type": "full"}
    folder = tmp_path_factory.mktemp("complaints")
    return make(assets, folder, letters(), "sequence-classification", full, 5e-4, onnx=False, everySteps=6, publish=True)


@pytest.fixture(scope="session")
def names(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A label for each token, LoRA, exported."""
    return make(assets, tmp_path_factory.mktemp("names"), orders(), "token-classification", LORA, 3e-3, onnx=True)


@pytest.mark.parametrize("name", ["spam", "complaints", "names"])
def test_a_few_steps_teach_the_encoder(name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """The tuned model is clearly better than the base with its new head, and inspect vouches for what is written."""
    case = request.getfixturevalue(name)
    base, tuned = case.evaluation.base, case.evaluation.tuned
    assert case.evaluation.gate_passed, case.evaluation.gate
    assert tuned["loss"] < base["loss"] / 2  # the new head may be right by chance, but never sure
    assert tuned["f1"] > base["f1"]
    assert "perplexity" not in tuned
    assert case.evaluation.examples == len(case.held_out())
    capsys.readouterr()
    assert inspect_model(str(case.root)) == 0
    assert json.loads(capsys.readouterr().out)["inspect"]["task"] == case.config.task


def test_a_checkpoint_of_a_classifier_is_published(complaints: Case) -> None:
    """With its head: the weights of the checkpoint, beside labels and tokenizer."""
    (checkpoint,) = complaints.manifest.checkpoints
    assert checkpoint.step == 6 and checkpoint.validation_loss != complaints.evaluation.tuned["loss"]
    saved = Workspace(complaints.config.paths.workspace).checkpoints / "attempt-1" / "checkpoint-6"
    published = complaints.root / "checkpoints" / "step-6" / "model"
    found, expected = (AutoModelForSequenceClassification.from_pretrained(folder).state_dict() for folder in (published, saved))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert AutoTokenizer.from_pretrained(published).vocab_size


@pytest.mark.parametrize(
    ("name", "labels", "multi_label"),
    [
        ("spam", ["ham", "spam"], False),
        ("complaints", ["billing", "delivery"], True),
        ("names", ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"], False),
    ],
)
def test_labels_are_in_the_model(name: str, labels: list[str], multi_label: bool, request: pytest.FixtureRequest) -> None:
    """The manifest, the model's config and the ONNX model's config say the same."""
    case = request.getfixturevalue(name)
    assert (case.manifest.labels, case.manifest.multi_label) == (labels, multi_label)
    for folder in [case.root / "model", *(case.root / "onnx").glob("*")]:
        config = json.loads((folder / "config.json").read_bytes())
        assert config["id2label"] == {str(index): label for index, label in enumerate(labels)}
        assert config["label2id"] == {label: index for index, label in enumerate(labels)}
        kind = "multi_label_classification" if multi_label else "single_label_classification"
        assert config.get("problem_type") == (None if name == "names" else kind)


def test_the_base_is_where_training_starts(spam: Case) -> None:
    """Same seed, same head: the base's scores are those of a fresh model, row by row."""
    start = load_classifier(Path(spam.prepared.base_path), spam.labelling, spam.prepared.hyperparameters.seed).model
    rows, losses, right = spam.held_out(), [], 0
    with torch.no_grad():
        for number in range(len(rows)):
            row = rows[number]
            output = start(input_ids=torch.from_numpy(row.tokens)[None], labels=torch.from_numpy(row.labels))
            losses.append(float(output.loss))
            right += int(output.logits.argmax()) == row.labels[0]
    assert spam.evaluation.base["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert spam.evaluation.base["accuracy"] == right / len(rows)


def test_transformers_reads_the_model(spam: Case, names: Case) -> None:
    """A pipeline of transformers answers with the labels."""
    judge = pipeline("text-classification", str(spam.root / "model"))
    assert [answer["label"] for answer in judge(["Buy cheap watches and win", "Dear Anna, see you at the meeting"])] == ["spam", "ham"]
    find = pipeline("token-classification", str(names.root / "model"), aggregation_strategy="first")
    assert [entity["entity_group"] for entity in find("Please send Maria a letter to Rome")] == ["PER", "LOC"]


def test_merged_model_is_base_plus_adapter(spam: Case) -> None:
    """adapter/ holds the head, too: on the plain base it gives what model/ gives."""
    ids = torch.tensor([AutoTokenizer.from_pretrained(spam.root / "model").encode("Win a prize, Tom")])
    torch.manual_seed(123)
    plain: Any = AutoModelForSequenceClassification.from_pretrained(spam.prepared.base_path, num_labels=2)
    merged: Any = AutoModelForSequenceClassification.from_pretrained(spam.root / "model")
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(plain, str(spam.root / "adapter")).eval()(ids).logits
        torch.testing.assert_close(merged.eval()(ids).logits, adapted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "loader"), [("spam", AutoModelForSequenceClassification), ("names", AutoModelForTokenClassification)])
def test_onnx_takes_any_batch(name: str, loader: Any, request: pytest.FixtureRequest) -> None:
    """The exported graph has free axes and honours the mask; its own tokenizer is beside it."""
    case = request.getfixturevalue(name)
    folder = case.root / "onnx" / "fp32"
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    model = loader.from_pretrained(case.root / "model").eval()
    for texts in (["Hello"], ["Win a prize", "Dear Tom, " * 40, "Rome"]):
        tokenizer.enable_padding(pad_id=0)
        encoded = tokenizer.encode_batch(texts)
        feed = {
            "input_ids": np.array([one.ids for one in encoded]),
            "attention_mask": np.array([one.attention_mask for one in encoded]),
            "token_type_ids": np.array([one.type_ids for one in encoded]),
        }
        (logits,) = session.run(["logits"], feed)
        for place, one in enumerate(encoded):
            ids = torch.tensor([one.ids[: sum(one.attention_mask)]])
            with torch.no_grad():
                expected = model(ids).logits[0].numpy()
            found = logits[place, : ids.shape[1]] if name == "names" else logits[place]
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_parity_is_proven_and_another_model_is_told_apart(spam: Case, names: Case) -> None:
    """The export fails against the base, naming the row and both labels."""
    (parity,) = spam.evaluation.parity
    assert (parity.artifact, parity.prompts, parity.equal, parity.tokens) == ("onnx/fp32", 12, 12, 0)
    assert parity.max_difference is not None
    assert parity.max_difference < 1e-4
    for case, words in ((spam, r"row \d+ of 12: the label is '\w+', PyTorch's is '\w+'"), (names, r"row \d+ of \d+: labelled token \d+: ")):
        base = load_classifier(Path(case.prepared.base_path), case.labelling, 1)
        rows = [case.held_out()[row] for row in range(12)]
        exported = OnnxClassifier(case.root / "onnx" / "fp32" / "model.onnx")
        with pytest.raises(StageFailure, match=words) as caught:
            prove_labels("onnx/fp32", exported, base.model, base.collator, rows, lambda _: None)
        assert caught.value.error.code == "ParityFailed"


def test_what_else_is_in_the_directory(spam: Case, names: Case) -> None:
    """The data report and the curves are listed; the card says how the task is called and leaves out what is not measured."""
    curves, others = (
        [file.path for file in spam.manifest.other_files if file.path.startswith("runs/") == curve] for curve in (True, False)
    )
    assert [path.rpartition(".tfevents.")[0] for path in curves] == ["runs/letters-v1/events.out"] * 2  # of the training and of publish
    scores = EventAccumulator(str(spam.root / "runs" / "letters-v1")).Reload()
    assert spam.manifest.evaluation is not None
    assert [event.value for event in scores.Scalars("tuned/accuracy")] == pytest.approx([spam.manifest.evaluation.tuned["accuracy"]])
    assert set(others) == {"metrics.csv", "report.json", "README.md"}
    assert json.loads((spam.root / "report.json").read_bytes())["task"] == "sequence-classification"
    assert spam.manifest.lineage is not None
    assert spam.manifest.lineage.hyperparameters["loraRank"] == 8
    assert "lossOn" not in spam.manifest.lineage.hyperparameters
    card = (spam.root / "README.md").read_text()
    assert "| model | loss | accuracy | f1 |" in card
    assert "curl $URL/v1/classify" in card
    assert "perplexity" not in card
    assert "curl $URL/v1/token-classify" in (names.root / "README.md").read_text()


def test_a_classifier_is_gone_on_with(spam: Case) -> None:
    """A FineTunedModel as the base keeps its head for the same labels."""
    loaded = load_classifier(spam.root / "model", spam.labelling, seed=5)
    written: Any = AutoModelForSequenceClassification.from_pretrained(spam.root / "model")
    assert loaded.head == "the base's own head for the same labels"
    assert torch.equal(loaded.model.classifier.weight, written.classifier.weight)


@pytest.mark.parametrize("folder", ["model", "onnx/fp32"])
def test_inspect_compares_labels(folder: str, tmp_path: Path, spam: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """A model whose labels are not those of its manifest is not served."""
    from finetune_trainer.inspect.main import check_artifacts

    config = tmp_path / folder / "config.json"
    for name in ("model", "onnx/fp32"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text((spam.root / name / "config.json").read_text())
    assert check_artifacts(tmp_path, spam.manifest) == []
    config.write_text(config.read_text().replace('"1": "spam"', '"1": "eggs"'))
    (finding,) = check_artifacts(tmp_path, spam.manifest)
    assert str(finding).startswith(f"{folder}/config.json has the labels ham, eggs, MANIFEST.json says ham, spam")
