"""Every task from the examples' raw data to token ids, by the program, with the real tokenizers of a decoder and an encoder."""

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from finetune_api.dataset_report import DatasetReport
from finetune_api.result import DatasetSummary
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.main import prepare
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.prepare.run import run_config

DECODER, ENCODER = "smollm2-5m", "all-minilm-l6-v2"


class Result(NamedTuple):
    """What prepare left."""

    prepared: Prepared
    report: DatasetReport
    train: list[dict[str, Any]]
    prompts: list[list[int]]
    tokenizer: Tokenizer

    @property
    def data(self) -> DatasetSummary:
        """The counts."""
        return self.prepared.summary.dataset

    def text(self, ids: list[int]) -> str:
        """A text with its special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=False))

    def said(self, example: dict[str, Any]) -> str:
        """What is learnt of an example."""
        return self.text([token for token, learn in zip(example["input_ids"], example["loss_mask"], strict=True) if learn])


def run(assets: Path, folder: Path, task: str, base: str, rows: str, **more: Any) -> Result:
    """The stage on one file, which is split."""
    dataset = {"train": {"uri": str(assets / rows), **more.pop("train", {})}, "split": {}}
    config = run_config(folder, task=task, base={"source": {"uri": str(assets / base)}}, dataset=dataset, **more)
    assert prepare(config, 1).error is None
    workspace = Workspace(folder / "workspace")
    return Result(
        Prepared.from_json(workspace.prepared.read_bytes()),
        DatasetReport.from_json(workspace.report.read_bytes()),
        read(workspace.train_rows),
        [row["input_ids"] for row in read(workspace.prompts)] if workspace.prompts.exists() else [],
        Tokenizer.from_file(str(assets / base / "tokenizer.json")),
    )


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of an Arrow file."""
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
        return list(file.read_all().to_pylist())


def test_chat_with_tools(assets: Path, tmp_path: Path) -> None:
    """SmolLM2's template ignores tools: one that tells them takes its place, and a note says so; calls and answers are learnt."""
    result = run(assets, tmp_path, "chat", DECODER, "order-desk/train.jsonl.gz")
    assert "does not support tools: one that does" in " ".join(result.report.notes)
    assert result.prepared.chat_template is not None
    assert "<tool_call>" in result.prepared.chat_template
    assert result.prepared.eos_token_ids == [2]
    calling = [result.said(example) for example in result.train if "<tool_call>" in result.said(example)]
    assert len(calling) > len(result.train) / 2
    assert all(said.startswith('<tool_call>\n{"name": "get_') and said.endswith("<|im_end|>") for said in calling)
    assert not any("<tool_response>" in said for said in calling)
    assert all(result.text(prompt).endswith("<|im_start|>assistant\n") for prompt in result.prompts)


def test_completion(assets: Path, tmp_path: Path) -> None:
    """Prompt and completion of a template's making, without the model's chat template; the end-of-text token is learnt."""
    texts = {"prompt": "Q: {question}\nA:", "completion": " {answer}"}
    result = run(assets, tmp_path, "completion", DECODER, "quiz/train.csv", train={"template": texts})
    assert result.prepared.chat_template is None
    for example in result.train[:20]:
        text, said = result.text(example["input_ids"]), result.said(example)
        assert text.startswith("Q: ")
        assert text.endswith(said)
        assert said.startswith(" ")
        assert said.endswith("<|im_end|>") or len(example["input_ids"]) == result.prepared.hyperparameters.max_sequence_length
    assert all(result.text(prompt).endswith("\nA:") for prompt in result.prompts)


def test_summarization(assets: Path, tmp_path: Path) -> None:
    """The document is the user's message, the summary the assistant's."""
    result = run(
        assets, tmp_path, "summarization", DECODER, "package-summaries/train.parquet", train={"columns": {"document": "description"}}
    )
    asked = "<|im_start|>user\nSummarize the following text.\n\n"
    assert all(asked in result.text(example["input_ids"]) for example in result.train)
    assert all(asked not in result.said(example) for example in result.train)
    assert result.data.lengths is not None
    assert result.data.lengths.p50 <= result.data.lengths.p95 <= result.data.lengths.max


def test_sequence_classification(assets: Path, tmp_path: Path) -> None:
    """A class index for each text, by the sorted names of the labels."""
    result = run(assets, tmp_path, "sequence-classification", ENCODER, "languages/train.jsonl")
    assert result.prepared.labels == sorted(result.prepared.labels)
    assert "german" in result.prepared.labels
    assert (result.prepared.multi_label, result.prepared.eos_token_ids, result.prompts) == (False, [], [])
    found = {label for example in result.train for label in example["labels"]}
    assert found == set(range(len(result.prepared.labels)))
    for example in result.train:
        assert (result.text(example["input_ids"][:1]), result.text(example["input_ids"][-1:])) == ("[CLS]", "[SEP]")
        assert len(example["token_type_ids"]) == len(example["input_ids"])
    german = result.prepared.labels.index("german")
    assert any("der" in result.text(example["input_ids"]).split() for example in result.train if example["labels"] == [german])


def test_token_classification(assets: Path, tmp_path: Path) -> None:
    """Tags at the first sub-token of each word; the words of a tag are found again."""
    result = run(assets, tmp_path, "token-classification", ENCODER, "order-entities/train.jsonl")
    assert {"B-PER", "I-PER", "O"} <= set(result.prepared.labels)
    assert result.data.supervised_tokens == sum(label >= 0 for example in result.train for label in example["labels"])
    people = {
        result.text([token])
        for example in result.train
        for token, label in zip(example["input_ids"], example["labels"], strict=True)
        if label >= 0 and result.prepared.labels[label] == "B-PER"
    }
    assert {"maria", "olga"} <= people


@pytest.mark.parametrize(
    "task, base, words",
    [
        (
            "chat",
            ENCODER,
            "is a BertModel, an encoder, which serves sequence-classification, token-classification, text-embedding; task chat needs a",
        ),
        (
            "token-classification",
            DECODER,
            "is a LlamaForCausalLM, a causal language model: task token-classification needs an encoder, such as bert, ",
        ),
    ],
)
def test_a_base_of_the_wrong_kind_is_refused_before_the_data_is_read(
    assets: Path, tmp_path: Path, task: str, base: str, words: str
) -> None:
    """In words that name both kinds."""
    (tmp_path / "broken.jsonl").write_text("no row at all\n")
    with pytest.raises(StageFailure) as caught:
        run(assets, tmp_path, task, base, str(tmp_path / "broken.jsonl"))
    assert (caught.value.error.code, caught.value.error.param) == ("BaseModelUnsupported", "base.source")
    assert words in caught.value.error.message


def test_the_report_has_all_numbers(assets: Path, tmp_path: Path) -> None:
    """Both sides with histograms that add up; the summary is the status's."""
    result = run(assets, tmp_path, "chat", DECODER, "support-bot/train.jsonl", hyperparameters={"maxSequenceLength": 130})
    report = result.report
    assert (report.valid, report.summary) == (True, result.data)
    assert report.train is not None
    assert report.validation is not None
    assert report.train.examples == sum(bar.count for bar in report.train.lengths) == sum(bar.count for bar in report.train.turns)
    assert report.train.tokens == sum(len(example["input_ids"]) for example in result.train) == result.data.train_tokens
    assert report.train.supervised_tokens == result.data.supervised_tokens
    assert report.train.truncated_examples > 0
    assert report.train.truncated_examples + report.validation.truncated_examples == result.data.truncated_examples
    assert report.train.truncated_tokens > report.train.truncated_examples
    assert report.hyperparameters == result.prepared.summary.hyperparameters
    assert report.expected == result.prepared.summary.expected
