"""A GPU computes what a plain loop on the CPU computes, with every method, precision, strategy, objective and kind of model.

The bounds follow from the precision: fp32 on a GPU sums in another order; bf16 has 8 bits; a 4-bit base is rounded alike on both.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune_api.run_config import RunStrategy
from tests.gpu.models import SMALL, random_bert, random_llama
from tests.gpu.plain import plain_losses
from tests.gpu.runs import QLORA, completed, new_run, trained, worst
from tests.strategies.test_matrix import OFFLOADED, STRATEGIES, named
from tests.trainer.train.labelled import LABELS, prepare_labelled
from tests.trainer.train.pairs import DPO, PAIRS, write_pairs
from tests.trainer.train.rated import KTO, write_rated
from tests.trainer.train.runs import FSDP, FULL, LORA, ZERO, Run, write_prepared

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]
METHODS: dict[str, dict[str, Any]] = {
    "lora": LORA,
    "dora": LORA | {"lora": LORA["lora"] | {"dora": True}},
    "pissa": LORA | {"lora": LORA["lora"] | {"initialization": "pissa"}},
    "qlora": QLORA,
    "full": FULL,
}
HYPER: dict[str, dict[str, Any]] = {name: {"total_steps": 20, "learning_rate": 1e-3} for name in METHODS} | {
    "full": {"total_steps": 10, "learning_rate": 1e-4}
}
PRECISIONS = [
    ("fp32", 1e-3),
    ("fp16", 0.02),
    pytest.param("tf32", 0.01, marks=pytest.mark.bf16),
    pytest.param("bf16", 0.02, marks=pytest.mark.bf16),
]
"""And the largest difference, as a share of the loss."""
OBJECTIVES = {"dpo": DPO, "orpo": {"objective": "orpo", "orpo": {"beta": 0.3}}}
CHANGES: dict[str, dict[str, Any]] = {
    "one row a step": {"micro_batch_tokens": 100_000},
    "one example a row": {"micro_batch_tokens": 1},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "selective gradient checkpointing": {"gradient_checkpointing": True, "gradient_checkpointing_policy": "selective"},
    "fsdp on one GPU": {"strategy": FSDP},
    "deepspeed on one GPU": {"strategy": ZERO[2]},
}


@pytest.fixture(scope="session", params=METHODS)
def plain(request: pytest.FixtureRequest, small: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[float]]:
    """A method, and its losses on the CPU in fp32."""
    method = request.param
    run = new_run(tmp_path_factory.mktemp("plain") / "workspace", small, METHODS[method], **HYPER[method])
    return method, plain_losses(run)


@pytest.mark.parametrize(("precision", "bound"), PRECISIONS)
def test_losses(
    precision: str, bound: float, small: Path, plain: tuple[str, list[float]], tmp_path: Path, figures: Callable[..., None]
) -> None:
    """The losses of the CPU in fp32."""
    method, expected = plain
    run = trained(tmp_path / "workspace", small, METHODS[method], precision=precision, **HYPER[method])
    figures(largest_difference=worst(run.losses(), expected))
    assert worst(run.losses(), expected) <= bound


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_no_loss(change: str, method: str, small: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """Micro-batches, recomputed activations and shards on a single GPU have the losses of the run without them."""
    hyper = HYPER[method] | {"total_steps": 6}
    reference = trained(tmp_path / "reference", small, METHODS[method], **hyper)
    run = trained(tmp_path / "workspace", small, METHODS[method], **hyper | CHANGES[change])
    figures(largest_difference=worst(run.losses(), reference.losses()))
    assert worst(run.losses(), reference.losses()) <= 1e-4


@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("objective", [*OBJECTIVES, "kto"])
def test_preferences(objective: str, method: dict[str, Any], small: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """The log-probabilities of the base are computed once on the GPU; the losses are those of two models on the CPU."""
    settings = method | (KTO if objective == "kto" else OBJECTIVES[objective])
    run = new_run(tmp_path / "workspace", small, settings)
    (write_rated if objective == "kto" else write_pairs)(run.workspace.train_rows, PAIRS, SMALL.vocabulary)
    values = {"steps_per_epoch": 3, "total_steps": 5, "checkpoint_every": 100, "learning_rate": 1e-5}
    write_prepared(run.workspace, small, settings, PAIRS, values)
    completed(run)
    expected = plain_losses(run, "rated" if objective == "kto" else "pairs")
    figures(largest_difference=worst(run.losses(), expected))
    assert worst(run.losses(), expected) <= 1e-3


@pytest.mark.parametrize("kind", LABELS)
def test_encoders(kind: str, tmp_path: Path, figures: Callable[..., None]) -> None:
    """A BERT with a new head: labels of texts, sets of labels, and tags of tokens, padded and with a mask."""
    base = random_bert(tmp_path / "bert", SMALL)
    hyper: dict[str, Any] = {"checkpoint_every": 100, "learning_rate": 1e-4}
    workspace = prepare_labelled(tmp_path / "workspace", base, kind, vocabulary=SMALL.vocabulary, method=FULL, **hyper)
    run = completed(Run(workspace, FULL, task=LABELS[kind][0]))
    expected = plain_losses(run, kind)
    figures(largest_difference=worst(run.losses(), expected))
    assert worst(run.losses(), expected) <= 1e-3


@pytest.mark.gpus(2)
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=named)
def test_two_gpus(strategy: RunStrategy, method: str, small: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """Several micro-batches a step on each of two GPUs: the losses of one process."""
    hyper = HYPER[method] | {"total_steps": 6, "micro_batch_tokens": 30}
    one = trained(tmp_path / "one", small, METHODS[method], **hyper)
    two = trained(tmp_path / "two", small, METHODS[method], strategy, 2, **hyper)
    figures(largest_difference=worst(two.losses(), one.losses()))
    assert worst(two.losses(), one.losses()) <= 1e-4


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("strategy", OFFLOADED, ids=named)
def test_offload(strategy: RunStrategy, method: str, small: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """What is kept and updated on the host gives the losses of ddp."""
    hyper = HYPER[method] | {"total_steps": 6, "micro_batch_tokens": 30}
    one = trained(tmp_path / "one", small, METHODS[method], **hyper)
    other = trained(tmp_path / "other", small, METHODS[method], strategy, **hyper)
    figures(largest_difference=worst(other.losses(), one.losses()))
    assert worst(other.losses(), one.losses()) <= 1e-4


@pytest.mark.gpus(2)
@pytest.mark.parametrize("strategy", STRATEGIES[:-1], ids=named)
def test_two_gpus_with_a_quantised_base(strategy: RunStrategy, tmp_path: Path, figures: Callable[..., None]) -> None:
    """Each GPU quantises its own copy alike, or holds a part of it."""
    base = random_llama(tmp_path / "base", SMALL)
    one = trained(tmp_path / "one", base, QLORA, total_steps=6)
    two = trained(tmp_path / "two", base, QLORA, strategy, 2, total_steps=6)
    figures(largest_difference=worst(two.losses(), one.losses()))
    assert worst(two.losses(), one.losses()) <= 1e-4
