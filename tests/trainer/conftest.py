"""A workspace as prepare and train leave it, made by hand from the tiny model, so that publish is tested alone."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_api.resources.evaluation import Evaluation, GateCondition
from finetune_api.resources.method import Lora
from finetune_api.result import DatasetSummary, Estimate, PrepareSummary
from finetune_api.run_config import JobIdentity, RunBase, RunConfig, RunDataset, RunMethod, RunPaths, RunRows, RunSource
from finetune_trainer.workspace.checksums import FileSum, sums_of
from finetune_trainer.workspace.files import COMPLETE, walk, write_atomic
from finetune_trainer.workspace.prepared import Prepared, ResolvedHyperparameters
from finetune_trainer.workspace.requests import HeldOutRequest, write_requests
from finetune_trainer.workspace.sealed import Seal
from finetune_trainer.workspace.workspace import Workspace

TALKS = [
    ["What is the capital of France?", "It is Paris, and it lies on the Seine."],
    ["Tell me a joke", "A horse walks into a bar. The barman asks: why the long face?"],
    ["Hello there!", "Hi. How can I help you today?"],
    ["My printer does not work", "Is it switched on, and is there paper in it? Look at the small lamp beside the lid, please."],
]


AS_IN_IMAGE = str(Path(__file__).parents[1] / "as_in_image")


LONGEST = (
    "train/test_launch.py", "test_interrupted.py", "test_pipeline.py", "publish/test_interrupted.py", "train/test_outside_entries.py",
    "publish/test_classifiers.py", "train/test_strategies.py", "test_embeddings.py",
)  # fmt: skip
"""Files that take minutes, most of them with few tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They go first, so that two processes end at about the same time."""
    places = {Path(__file__).parent / file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="package", autouse=True)
def as_in_image() -> Iterator[None]:
    """Stages that are started as programs find the packages of the trainer image."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", AS_IN_IMAGE)
        yield


def prompt_of(user: str) -> str:
    """What a user says, as a prompt."""
    return f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="session")
def tiny(assets: Path) -> Path:
    """The model of two layers."""
    return assets / "smollm2-5m"


@pytest.fixture(scope="session")
def rows(tiny: Path) -> list[tuple[list[int], list[bool]]]:
    """Token ids and loss masks of the held-out talks; the assistant's words count."""
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny)
    made: list[tuple[list[int], list[bool]]] = []
    for user, assistant in TALKS:
        prompt = tokenizer.encode(prompt_of(user))
        answer = tokenizer.encode(f"{assistant}<|im_end|>\n")
        made.append((prompt + answer, [False] * len(prompt) + [True] * len(answer)))
    return made


@pytest.fixture(scope="session")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Trained weights of both kinds: an adapter whose B is not zero, and a whole model with changed weights."""
    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(7)
    model: Any = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    whole = {name: value + 0.01 * torch.randn_like(value) for name, value in model.state_dict().items()}
    tuned: Any = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear"))
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    tuned.save_pretrained(str(folder / "adapter"))
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    model.load_state_dict(whole)
    model.save_pretrained(folder / "model")
    yield folder
    shutil.rmtree(folder)


MakeConfig = Callable[..., RunConfig]


@pytest.fixture(scope="session")
def trained_sums(trained: Path) -> dict[str, FileSum]:
    """What a seal of the trained weights lists."""
    return sums_of(trained, walk(trained))


@pytest.fixture(scope="session")
def make_config(tiny: Path, trained: Path, trained_sums: dict[str, FileSum], rows: list[tuple[list[int], list[bool]]]) -> MakeConfig:
    """A function that lays out a fresh workspace below a folder and returns the run config for it."""

    def make(
        folder: Path, *, method: str = "lora", precision: str = "fp32", onnx: bool = False, digest: str = "d1", parameters: int = 1000
    ) -> RunConfig:
        config = RunConfig(
            job=JobIdentity(name="bot", uid="u1", spec_digest=digest),
            base=RunBase(source=RunSource(uri=str(tiny), shown_as="pvc://models/tiny")),
            dataset=RunDataset(train=RunRows(uri="/data/train.jsonl", shown_as="pvc://data/train.jsonl")),
            method=RunMethod.model_validate({"type": method}),
            evaluation=Evaluation(gate=[GateCondition(metric="loss", better_than_base=True)]),
            export={"onnx": {"parityPrompts": 3}} if onnx else {},
            output_model="bot-v1",
            paths=RunPaths(workspace=str(folder / "workspace"), model=str(folder / "model")),
        )
        lay_out(Workspace(config.paths.workspace), config, tiny, rows, precision, parameters)
        lay_out_trained(Workspace(config.paths.workspace), trained, trained_sums)
        return config

    return make


@pytest.fixture(scope="session")
def published(make_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunConfig]:
    """A finished publish with adapter and ONNX export; tests leave it as it is."""
    from finetune_trainer.publish.main import publish

    folder = tmp_path_factory.mktemp("published")
    config = make_config(folder, onnx=True)
    publish(config, 1)
    yield config
    shutil.rmtree(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that is gone after the test: models are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def lay_out(
    workspace: Workspace,
    config: RunConfig,
    tiny: Path,
    rows: list[tuple[list[int], list[bool]]],
    precision: str,
    parameters: int,
) -> None:
    """Writes what prepare and train write."""
    prepared = Prepared(
        spec_digest=config.job.spec_digest,
        base_path=str(tiny),
        hyperparameters=ResolvedHyperparameters.model_validate(
            {
                "total_steps": 4, "steps_per_epoch": 2, "batch_size": 2, "learning_rate": 1e-4, "scheduler": "linear",
                "warmup_steps": 0, "weight_decay": 0, "max_grad_norm": 1, "max_sequence_length": 64, "precision": precision,
                "seed": 1, "checkpoint_every": 2, "micro_batch_tokens": 96,
            }
        ),
        method=config.method.model_copy(update={"lora": Lora(rank=4, alpha=8) if config.method.type == "lora" else None}),
        eos_token_ids=[2],
        summary=PrepareSummary(
            dataset=DatasetSummary(
                train_examples=4, validation_examples=4, train_tokens=100, supervised_tokens=60, digest="data-digest"
            ),
            hyperparameters={}, total_steps=4, estimate=Estimate(model_bytes=0, workspace_bytes=0),
            base_digest="base-digest", base_parameters=parameters,
        ),
        files={},
    )  # fmt: skip
    write_atomic(workspace.prepared, prepared.to_json())
    write_rows(workspace.validation_rows, {"input_ids": [row[0] for row in rows], "loss_mask": [row[1] for row in rows]})
    write_rows(workspace.prompts, {"input_ids": [ids[: mask.index(True)] for ids, mask in rows]})
    contexts = [ids[: mask.index(True)] for ids, mask in rows]
    asked = [HeldOutRequest(f"line {place}", [ids], prompt=prompt_of(TALKS[place][0])) for place, ids in enumerate(contexts)]
    write_requests(workspace.requests, asked)
    workspace.metrics.write_text("step,loss\n1,2.5\n")


def lay_out_trained(workspace: Workspace, trained: Path, sums: dict[str, FileSum]) -> None:
    """Links the trained weights and seals them for this workspace's run."""
    workspace.trained.mkdir()
    for path in trained.iterdir():
        (workspace.trained / path.name).symlink_to(path)
    owner = Prepared.from_json(workspace.prepared.read_bytes()).identity
    write_atomic(workspace.trained / COMPLETE, Seal(owner=owner, files=sums).to_json())


def write_rows(path: Path, columns: dict[str, list[Any]]) -> None:
    """Writes one Arrow IPC file."""
    types = {"input_ids": pa.list_(pa.int32()), "loss_mask": pa.list_(pa.bool_())}
    schema = pa.schema([(name, types[name]) for name in columns])
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.ipc.new_file(str(path), schema) as file:
        file.write_table(pa.table(columns, schema=schema))
