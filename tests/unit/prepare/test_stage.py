"""The whole stage, with a byte-level model and small data."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from finetune_api.dataset_report import DatasetReport
from finetune_api.exit_codes import ExitCode
from finetune_api.progress import last_progress
from finetune_api.result import StageResult
from finetune_text.chat_template import ChatTemplate
from finetune_text.standard_templates import PLAIN, chatml_with_tools
from finetune_trainer.__main__ import main
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.main import prepare
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.data.rows.samples import assistant, good, row, system, user
from tests.unit.data.tokens import templates
from tests.unit.prepare.base_folder import PARAMETERS, byte_tokenizer, change_json, make_base
from tests.unit.prepare.run import run_config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base and 40 good rows."""
    make_base(tmp_path / "base")
    write_rows(tmp_path / "train.jsonl", *map(good, range(40)))
    return tmp_path


def write_rows(path: Path, *rows: bytes) -> None:
    """A JSONL file."""
    path.write_bytes(b"\n".join(rows) + b"\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of an Arrow file."""
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
        return list(file.read_all().to_pylist())


def text_of(ids: list[int]) -> str:
    """Bytes of the byte-level tokenizer's ids, markers as <s> and </s>."""
    return str(byte_tokenizer().decode(ids, skip_special_tokens=False))


def refusal(folder: Path, **settings: Any) -> StageFailure:
    """The failure that the stage ends with."""
    with pytest.raises(StageFailure) as caught:
        prepare(run_config(folder, **settings), 1)
    return caught.value


def dataset(folder: Path, **more: Any) -> dict[str, Any]:
    """The run config's dataset."""
    return {"train": {"uri": str(folder / "train.jsonl"), "shownAs": "pvc://data/train.jsonl"}, **more}


def test_the_program_leaves_everything_that_training_needs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`python -m finetune_trainer prepare --run run.json` on a laptop: result, decisions and rows, progress on the way."""
    (folder / "run.json").write_text(run_config(folder).to_json())
    assert main(["prepare", "--run", str(folder / "run.json")]) == 0
    workspace = Workspace(folder / "workspace")
    result = StageResult.from_json(workspace.result("prepare").read_bytes())
    prepared = Prepared.from_json(workspace.prepared.read_bytes())
    assert result.prepare == prepared.summary
    assert result.spec_digest == prepared.spec_digest == "abc"
    assert prepared.base_path == str(folder / "base")
    assert prepared.eos_token_ids == [1]
    assert prepared.summary.base_parameters == PARAMETERS
    data = prepared.summary.dataset
    assert (data.train_examples, data.validation_examples, data.duplicates, data.truncated_examples) == (36, 4, 0, 0)
    train, validation = read(workspace.train_rows), read(workspace.validation_rows)
    assert (len(train), len(validation)) == (36, 4)
    assert data.train_tokens == sum(len(example["input_ids"]) for example in train)
    assert data.supervised_tokens == sum(sum(example["loss_mask"]) for example in train)
    assert sorted(text_of(example["input_ids"]) for example in train + validation) == sorted(
        f"<|im_start|>user\nQuestion {number}<|im_end|>\n<|im_start|>assistant\nAnswer {number}<|im_end|>\n" for number in range(40)
    )
    prompts = read(workspace.prompts)
    assert [example["input_ids"][: len(prompt["input_ids"])] for example, prompt in zip(validation, prompts, strict=True)] == [
        prompt["input_ids"] for prompt in prompts
    ]
    assert text_of(prompts[0]["input_ids"]).endswith("<|im_start|>assistant\n")
    progress = last_progress(capfd.readouterr().out)
    assert progress is not None
    assert progress.activity == "prepared"


def test_the_same_input_gives_the_same_bytes(folder: Path) -> None:
    """Attempts on different machines train on the same files; the rows' form on disk does not matter to their digest."""
    config = run_config(folder)
    results = []
    for _ in range(2):
        workspace = Workspace(folder / "workspace")
        results.append(
            (prepare(config, 1).prepare, *(p.read_bytes() for p in (workspace.train_rows, workspace.validation_rows, workspace.prompts)))
        )
    assert results[0] == results[1]
    rows = [json.loads(good(number)) for number in range(40)]
    (folder / "train.jsonl").write_text(json.dumps(rows, indent=2))
    again = prepare(config, 1).prepare
    assert again is not None
    assert again.dataset.format == "JSON, OpenAI chat"
    first = results[0][0]
    assert first is not None
    dataset = again.dataset.model_copy(update={"format": "JSONL, OpenAI chat"})
    estimate = again.estimate.model_copy(update={"workspace_bytes": first.estimate.workspace_bytes})  # the places of rows have other names
    assert again.model_copy(update={"dataset": dataset, "estimate": estimate}) == first


def test_the_model_s_volume_is_sized_for_the_precision_that_was_decided(folder: Path) -> None:
    """A GPU without bf16 trains and publishes in fp32 without a setting."""
    sizes = []
    for product in ("NVIDIA-L4", "Tesla-T4"):
        found = prepare(run_config(folder, hardware={"gpus": 1, "gpuProduct": product}), 1).prepare
        assert found is not None
        sizes.append(found.estimate.model_bytes)
    assert sizes[1] - sizes[0] == pytest.approx(1.1 * 2 * PARAMETERS, abs=1)


def test_rows_have_the_types_of_the_contract(folder: Path) -> None:
    """input_ids list<int32>, loss_mask list<bool>, and the row of the dataset."""
    prepare(run_config(folder), 1)
    workspace = Workspace(folder / "workspace")
    with pa.ipc.open_file(str(workspace.train_rows)) as file:
        assert file.schema == pa.schema([("input_ids", pa.list_(pa.int32())), ("loss_mask", pa.list_(pa.bool_())), ("where", pa.string())])
    with pa.ipc.open_file(str(workspace.prompts)) as file:
        assert file.schema == pa.schema([("input_ids", pa.list_(pa.int32()))])


def test_an_own_validation_file(folder: Path) -> None:
    """It is held out whole; what it shares with the training file is dropped there and counted."""
    write_rows(folder / "validation.jsonl", good(3), good(100), good(100))
    summary = prepare(run_config(folder, dataset=dataset(folder, validation={"uri": str(folder / "validation.jsonl")})), 1).prepare
    assert summary is not None
    data = summary.dataset
    assert (data.train_examples, data.validation_examples, data.duplicates, data.in_both) == (39, 2, 1, 1)


def test_long_examples_are_cut_and_those_without_an_answer_left_are_dropped(folder: Path) -> None:
    """Both are counted; the cut is at the end."""
    longer, hopeless = row(user("Hi"), assistant("a" * 500)), row(user("q" * 500), assistant("a"))
    write_rows(folder / "train.jsonl", *map(good, range(40)), longer, hopeless)
    write_rows(folder / "validation.jsonl", good(100))
    settings = {
        "dataset": dataset(folder, validation={"uri": str(folder / "validation.jsonl")}),
        "hyperparameters": {"maxSequenceLength": 100},
    }
    summary = prepare(run_config(folder, **settings), 1).prepare
    assert summary is not None
    data = summary.dataset
    assert (data.train_examples, data.truncated_examples, data.without_target) == (41, 2, 1)
    (note,) = [note for note in data.notes if "nothing is left to learn" in note]
    assert "train.jsonl, line 42: the answer begins beyond 100 tokens, where rows are cut" in note
    assert "shorten the rows: the base model takes 512 tokens" in note
    last = read(Workspace(folder / "workspace").train_rows)[-1]
    assert len(last["input_ids"]) == len(last["loss_mask"]) == 100
    whole = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n" + "a" * 500
    assert whole.startswith(text_of(last["input_ids"]))


def test_a_cut_that_leaves_nothing_is_refused(folder: Path) -> None:
    """The field to change is the length, not the data."""
    error = refusal(folder, hyperparameters={"maxSequenceLength": 8}).error
    assert (error.code, error.param) == ("InvalidDataset", "hyperparameters.maxSequenceLength")


@pytest.mark.parametrize(("given", "longest"), [(512, 512 - 64), (480, 512 - 64), (100, 100)])
def test_prompts_leave_room_for_an_answer(folder: Path, given: int, longest: int) -> None:
    """A prompt is cut from its beginning to what the model, which knows 512 positions, can still continue."""
    write_rows(folder / "held.jsonl", row(user("long " * 200), assistant("yes")), good(50))
    held = {"uri": str(folder / "held.jsonl")}
    prepare(run_config(folder, dataset=dataset(folder, validation=held), hyperparameters={"maxSequenceLength": given}), 1)
    prompts = [prompt["input_ids"] for prompt in read(Workspace(folder / "workspace").prompts)]
    assert max(map(len, prompts)) == longest
    assert all(text_of(prompt).endswith("<|im_start|>assistant\n") for prompt in prompts)


@pytest.mark.parametrize(
    "rows, words",
    [
        (range(9), "pvc://data/train.jsonl has 9 examples to train on, at least 10 are needed"),
        ([0], "has 1 example to train on"),
        ([*range(9), 0, 0], "has 9 examples to train on, at least 10 are needed; 2 more are exact duplicates"),
    ],
)
def test_too_few_examples_are_refused(folder: Path, rows: Any, words: str) -> None:
    """Duplicates do not count."""
    write_rows(folder / "train.jsonl", *map(good, rows))
    failure = refusal(folder)
    assert (failure.exit_code, failure.error.code) == (ExitCode.INVALID_INPUT, "InvalidDataset")
    assert words in failure.error.message


def test_rows_that_are_all_held_out_are_told(folder: Path) -> None:
    """A validation file that is the training file leaves nothing to train on."""
    error = refusal(folder, dataset=dataset(folder, validation={"uri": str(folder / "train.jsonl")})).error
    assert "has 0 examples to train on, at least 10 are needed; 40 more are also in the validation file" in error.message


@pytest.mark.parametrize("side", ["train", "validation"])
def test_findings_name_the_field_of_their_file(folder: Path, side: str) -> None:
    """A broken validation file is not blamed on the training file."""
    write_rows(folder / "bad.jsonl", b'{"messages": 1}')
    good_file, bad_file = {"uri": str(folder / "train.jsonl")}, {"uri": str(folder / "bad.jsonl")}
    files = {"train": good_file, "validation": good_file} | {side: bad_file}
    error = refusal(folder, dataset=files).error
    assert (error.param, error.details[0][:7]) == (f"dataset.{side}.source", "line 1:")


def test_rows_that_the_template_refuses_are_findings(folder: Path) -> None:
    """They have a line and the template's own words."""
    (folder / "base" / "chat_template.jinja").write_text(templates.GEMMA)
    change_json(folder / "base" / "tokenizer_config.json", bos_token="<|im_start|>")
    write_rows(folder / "train.jsonl", *map(good, range(40)), row(system(), user(), assistant()))
    error = refusal(folder).error
    assert error.details == ["line 41: the base's chat template says: System role not supported"]
    assert error.param == "dataset.train.source"


def test_rows_that_the_template_refuses_may_be_dropped(folder: Path) -> None:
    """Within the share of rows that may be invalid; they are counted, and the report shows them."""
    (folder / "base" / "chat_template.jinja").write_text(templates.GEMMA)
    change_json(folder / "base" / "tokenizer_config.json", bos_token="<|im_start|>")
    write_rows(folder / "train.jsonl", *map(good, range(40)), row(system(), user(), assistant()))
    limits = {"maxInvalidFraction": 0.1}
    summary = prepare(run_config(folder, dataset=dataset(folder, split={}, limits=limits)), 1).prepare
    assert summary is not None
    assert (summary.dataset.train_examples + summary.dataset.validation_examples, summary.dataset.invalid_rows) == (40, 1)
    report = read_report(folder)
    assert report.findings == ["line 41: the base's chat template says: System role not supported"]
    assert report.finding_kinds == {"refused by the chat template": 1}


def read_report(folder: Path) -> DatasetReport:
    """What prepare found."""
    return DatasetReport.from_json(Workspace(folder / "workspace").report.read_bytes())


def test_a_refused_dataset_has_a_report(folder: Path) -> None:
    """With the findings and how many there are of each kind."""
    write_rows(folder / "train.jsonl", *map(good, range(40)), row(user()), row(user("A")), b"{")
    error = refusal(folder).error
    report = read_report(folder)
    assert (report.valid, report.summary) == (False, None)
    assert report.findings == error.details
    assert report.finding_kinds == {"no assistant message": 2, "not JSON": 1}


def test_findings_in_the_rows_are_reported_with_a_base_that_cannot_be_read(folder: Path) -> None:
    """One attempt shows everything that has to be corrected."""
    write_rows(folder / "train.jsonl", *map(good, range(40)), b"{")
    (folder / "base" / "config.json").unlink()
    error = refusal(folder).error
    assert (error.code, error.param, error.details[0][:8]) == ("InvalidDataset", "dataset.train.source", "line 41:")
    assert "the base model cannot be read either: " in error.message
    assert "config.json" in error.message


def test_a_base_without_a_chat_template_gets_a_default(folder: Path) -> None:
    """It is published with the model, and a note says so."""
    (folder / "base" / "chat_template.jinja").unlink()
    summary = prepare(run_config(folder), 1).prepare
    assert summary is not None
    assert 'has no chat template: a default ("User:", "Assistant:") is used and published' in summary.dataset.notes[-1]
    prepared = Prepared.from_json(Workspace(folder / "workspace").prepared.read_bytes())
    assert (prepared.chat_template, prepared.eos_token_ids) == (PLAIN, [1])
    texts = {text_of(example["input_ids"]) for example in read_train(folder)}
    assert all(text.startswith("User:\nQuestion ") and text.endswith("<|im_end|>\n\n") for text in texts)


def test_tools_that_the_template_does_not_know_are_refused(folder: Path) -> None:
    """Unless it is ChatML, whose place one with tools can take; the field to change is the base."""
    (folder / "base" / "chat_template.jinja").write_text(templates.LLAMA3)
    function = {"name": "find", "parameters": {"type": "object", "properties": {}}}
    write_rows(
        folder / "train.jsonl", *[row(user(f"Hi {n}"), assistant(), tools=[{"type": "function", "function": function}]) for n in range(20)]
    )
    error = refusal(folder).error
    assert (error.code, error.param) == ("ChatTemplateUnsupported", "base.source")
    assert "pvc://models/base does not pass tools to the model, and pvc://data/train.jsonl has rows with tools" in error.message
    (folder / "base" / "chat_template.jinja").write_text(templates.CHATML)
    assert prepare(run_config(folder), 1).error is None


def test_a_model_s_own_template_for_tools_is_taken(folder: Path) -> None:
    """Older models have it beside the other one, under the name tool_use."""
    (folder / "base" / "chat_template.jinja").unlink()
    own = chatml_with_tools(ChatTemplate(templates.CHATML, {}, clock=lambda: datetime(2026, 2, 1))) + "{# its own #}"
    named = [{"name": "default", "template": templates.LLAMA3}, {"name": "tool_use", "template": own}]
    change_json(folder / "base" / "tokenizer_config.json", chat_template=named)
    tools = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}]
    write_rows(folder / "train.jsonl", *[row(user(f"Hi {n}"), assistant(), tools=tools) for n in range(20)])
    summary = prepare(run_config(folder), 1).prepare
    assert summary is not None
    assert "does not support tools: the model's own for tools (tool_use) replaces it" in " ".join(summary.dataset.notes)
    assert Prepared.from_json(Workspace(folder / "workspace").prepared.read_bytes()).chat_template == own


def test_a_template_that_opens_thoughts_names_the_way_out(folder: Path) -> None:
    """With lossOn all the mask needs no differences, and the same data trains."""
    (folder / "base" / "chat_template.jinja").write_text(templates.OPENS_THOUGHTS)
    error = refusal(folder).error
    assert (error.code, error.param) == ("ChatTemplateUnsupported", "method.lossOn")
    assert "the chat template of pvc://models/base rewrites earlier text" in error.message
    assert "set method.lossOn to all" in error.message
    assert prepare(run_config(folder, method={"lossOn": "all"}), 1).error is None


def test_answers_that_are_rewritten_later_are_examples_of_their_own(folder: Path) -> None:
    """As Qwen 3 writes them: each answer is learnt as the model has to give it, and a note says so."""
    (folder / "base" / "chat_template.jinja").write_text(templates.THINKING)
    write_rows(folder / "train.jsonl", *[row(user(f"Hi {n}"), assistant("1"), user("2?"), assistant("3")) for n in range(20)])
    summary = prepare(run_config(folder), 1).prepare
    assert summary is not None
    assert (summary.dataset.train_examples, summary.dataset.validation_examples) == (36, 4)
    assert "each answer of 20 rows became an example of its own" in summary.dataset.notes[0]
    said = [
        text_of([t for t, learn in zip(example["input_ids"], example["loss_mask"], strict=True) if learn]) for example in read_train(folder)
    ]
    assert set(said) == {"<think>\n\n</think>\n\n1<|im_end|>", "<think>\n\n</think>\n\n3<|im_end|>"}


def read_train(folder: Path) -> list[dict[str, Any]]:
    """The training examples."""
    return read(Workspace(folder / "workspace").train_rows)


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    """A token beyond the embedding would crash the training."""
    change_json(folder / "base" / "config.json", vocab_size=50)
    error = refusal(folder).error
    assert "config.json's vocab_size is 50" in error.message
    assert error.param == "base.source"


@pytest.mark.parametrize(
    "name, words",
    [
        ("trian.jsonl", "pvc://data/trian.jsonl: file not found; the claim holds: train.jsonl, "),
        ("", "this is a folder, but a file is required"),
    ],
)
def test_missing_data_is_told_with_what_is_there(folder: Path, name: str, words: str) -> None:
    """The claim's most similar names come first."""
    files = {"train": {"uri": str(folder / name), "shownAs": f"pvc://data/{name}"}, "split": {}}
    failure = refusal(folder, dataset=files)
    assert (failure.exit_code, failure.error.code, failure.error.param) == (ExitCode.INVALID_INPUT, "DataNotFound", "dataset.train.source")
    assert words in failure.error.message


def test_a_file_address_is_a_path(folder: Path) -> None:
    """file:///path, with its escapes."""
    (folder / "train.jsonl").rename(folder / "train data.jsonl")
    files = {"train": {"uri": f"file://{folder}/train%20data.jsonl"}, "split": {}}
    assert prepare(run_config(folder, dataset=files), 1).error is None


def test_a_workspace_that_is_obviously_too_small_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything large is written; the field to change is the workspace's size."""
    monkeypatch.setattr("finetune_trainer.prepare.main.free_bytes", lambda path: 10)
    failure = refusal(folder)
    assert (failure.exit_code, failure.error.code, failure.error.param) == (ExitCode.STORAGE_FULL, "StorageFull", "workspace.storage.size")
    assert "10 bytes are free" in failure.error.message


@pytest.mark.parametrize("missing", ["train", "validation"])
@pytest.mark.parametrize("base", [True, False])
def test_a_file_that_is_not_there_is_found_first(folder: Path, missing: str, base: bool) -> None:
    """Before the rows of the other file are judged, and before anything of the base model is looked at."""
    write_rows(folder / "train.jsonl", b"[")
    write_rows(folder / "validation.jsonl", b"[")
    (folder / f"{missing}.jsonl").unlink()
    settings: dict[str, Any] = {"dataset": dataset(folder, validation={"uri": str(folder / "validation.jsonl")})}
    if not base:
        settings["base"] = {"source": {"uri": str(folder / "nowhere")}}
    with pytest.raises(StageFailure) as caught:
        prepare(run_config(folder, **settings), 1)
    assert (caught.value.error.code, caught.value.error.param) == ("DataNotFound", f"dataset.{missing}.source")
