"""Runs that several tests look at: starting a rank takes longer than all its steps."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from finetune_api.run_config import RunStrategy
from finetune_trainer.failure import StageFailure
from finetune_trainer.train.launch.exchange import Assignment
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.loop.metrics import read_metrics
from finetune_trainer.train.rank import Rank
from finetune_trainer.workspace.workspace import Workspace
from tests.trainer.train.labelled import ENCODER_VOCABULARY
from tests.trainer.train.pairs import DPO, PAIRS, write_pairs
from tests.trainer.train.rated import KTO, write_rated
from tests.trainer.train.runs import DDP, FULL, LORA, Run, prepare_workspace, write_prepared

VOCABULARY = 1024
LONG: dict[str, Any] = {"total_steps": 12}
"""Three epochs of four steps: long enough to be interrupted several times."""
VALIDATED: dict[str, Any] = LONG | {"validation_every": 5, "validation_examples": 7}
"""The same with validations, the last one after the last step."""


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of steps this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 cut to two layers and to its first tokens: a checkpoint of it is written in no time."""
    folder = tmp_path_factory.mktemp("base") / "tiny"
    model: Any = AutoModelForCausalLM.from_pretrained(assets / "smollm2-tiny")
    model.resize_token_embeddings(VOCABULARY)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of two layers with tied embeddings, whose heads two processes can divide."""
    folder = tmp_path_factory.mktemp("even") / "tiny"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=128, tie_word_embeddings=True, initializer_range=0.1,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same size as a mixture of experts, of which each token has two."""
    folder = tmp_path_factory.mktemp("experts") / "tiny"
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=128, initializer_range=0.1,
    )  # fmt: skip
    model: Any = MixtralForCausalLM(config)
    model.save_pretrained(folder)
    return folder


def run_here(run: Run, attempt: int = 1, stop: Callable[[], bool] = lambda: False, *, halved: bool = False) -> None:
    """Runs the only rank of a world of one in this process; raises what ends it."""
    folder = run.workspace.root
    Rank(Assignment(config=run.config(), attempt=attempt, halved=halved), Heartbeat(folder / "beat"), stop).run()


def check_resume(run: Run, aside: Path) -> None:
    """A run that is stopped after its second step has the losses of an undisturbed one, whose results are moved to `aside`."""
    run_here(run)
    whole = run.losses()
    for name in ("results", "trained"):
        (run.workspace.root / name).rename(aside / name)
    run.workspace.metrics.unlink()
    with pytest.raises(StageFailure, match="at step 3, with a checkpoint"):
        run_here(run, 1, lambda: any(metrics.step >= 2 for metrics in read_metrics(run.workspace.metrics)))
    run_here(run, 2)
    assert run.losses() == whole


@pytest.fixture
def new_run(tmp_path: Path, tiny: Path) -> Callable[..., Run]:
    """Makes a run on a workspace of its own; keyword arguments are Run's, `hyper`, `base` and `folder` apart."""

    def make(
        *,
        base: Path = tiny,
        method: dict[str, Any] = LORA,
        strategy: RunStrategy = DDP,
        hyper: dict[str, Any] | None = None,
        folder: str = "workspace",
        **arguments: Any,
    ) -> Run:
        workspace = prepare_workspace(tmp_path / folder, base, method=method, strategy=strategy, **(hyper or {}))
        return Run(workspace, method, **arguments)

    return make


@pytest.fixture(scope="session")
def encoder(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-MiniLM-L6-v2 cut to two layers and to its first tokens, without dropout."""
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    config = AutoConfig.from_pretrained(
        assets / "all-minilm-l6-v2", num_hidden_layers=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    model: Any = AutoModel.from_pretrained(assets / "all-minilm-l6-v2", config=config)
    model.resize_token_embeddings(ENCODER_VOCABULARY)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def new_pairs(tmp_path: Path, tiny: Path) -> Callable[..., Run]:
    """Makes a run of dpo on a workspace of its own; keyword arguments are Run's, `hyper` and `base` apart."""
    return maker(tmp_path, tiny, write_pairs, LORA | DPO)


@pytest.fixture
def new_rated(tmp_path: Path, tiny: Path) -> Callable[..., Run]:
    """The same of kto."""
    return maker(tmp_path, tiny, write_rated, LORA | KTO)


def maker(folder: Path, tiny: Path, write: Callable[[Path, int, int], None], objective: dict[str, Any]) -> Callable[..., Run]:
    """Makes runs on rows that `write` leaves, of three steps an epoch."""
    made: list[Run] = []

    def make(
        *,
        base: Path = tiny,
        method: dict[str, Any] = objective,
        vocabulary: int = VOCABULARY,
        strategy: RunStrategy = DDP,
        hyper: Any = None,
        **more: Any,
    ) -> Run:
        workspace = Workspace(folder / f"workspace-{len(made)}")
        write(workspace.train_rows, PAIRS, vocabulary)
        write(workspace.validation_rows, 7, vocabulary)
        values = {"steps_per_epoch": 3, "total_steps": 5, "checkpoint_every": 100, **(hyper or {})}
        write_prepared(workspace, base, method, PAIRS, values, strategy=strategy)
        made.append(Run(workspace, method, **more))
        return made[-1]

    return make


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Run:
    """LoRA on one process, in this one, from start to end, with validations."""
    run = Run(prepare_workspace(tmp_path_factory.mktemp("alone"), tiny, **VALIDATED))
    run_here(run)
    return run


@pytest.fixture(scope="session")
def alone_full(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Run:
    """Full fine-tuning on one process, without checkpoints."""
    run = Run(
        prepare_workspace(
            tmp_path_factory.mktemp("alone-full"), tiny, method=FULL, checkpoint_every=100, validation_every=2, validation_examples=7
        ),
        method=FULL,
    )
    run_here(run)
    return run
