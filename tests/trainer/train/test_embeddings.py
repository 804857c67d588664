"""Embedding models in the loop: the losses of the blackboard however a step is cut and spread, validations, exact resumes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from finetune_trainer.embedding.learner import EmbeddingLearner
from finetune_trainer.embedding.rows import EmbeddingRows
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.workspace.prepared import Prepared
from tests.trainer.train.blackboard import train_steps
from tests.trainer.train.conftest import check_resume, run_here
from tests.trainer.train.embedded import KINDS, prepare_embedded
from tests.trainer.train.labelled import ENCODER_VOCABULARY
from tests.trainer.train.runs import DDP, FSDP, FULL, LORA, Run

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
QLORA: dict[str, Any] = LORA | {"type": "qlora"}
CLOSE = 1e-4
ROWS = 19
"""The last step of an epoch has one row: on two ranks the second gets a filler."""


@pytest.fixture
def embed(tmp_path: Path, encoder: Path) -> Callable[..., Run]:
    """Makes a run on a kind of rows, on a workspace of its own."""

    def make(kind: str, *, method: dict[str, Any] = LORA, strategy: RunStrategy = DDP, hyper: Any = None, **more: Any) -> Run:
        values = {"checkpoint_every": 100, "strategy": strategy} | (hyper or {})
        strategy = values.pop("strategy")
        sizes = {"vocabulary": ENCODER_VOCABULARY, "rows": ROWS}
        workspace = prepare_embedded(tmp_path / "workspace", encoder, kind, method=method, **sizes, **values)
        prepared = Prepared.from_json(workspace.prepared.read_bytes()).model_copy(update={"strategy": strategy})
        workspace.prepared.write_text(prepared.to_json())
        return Run(workspace, method, task="text-embedding", **more)

    return make


def learner_of(run: Run) -> EmbeddingLearner:
    """Of the run, outside of it."""
    return EmbeddingLearner(run.config(), Prepared.from_json(run.workspace.prepared.read_bytes()), run.workspace)


def vector(model: Any, ids: Any) -> torch.Tensor:
    """The mean over tokens, of length 1."""
    mean = model(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0].mean(dim=0)
    return mean / mean.norm()


def step_loss(model: Any, rows: EmbeddingRows, numbers: list[int]) -> torch.Tensor:
    """Every text by itself, every similarity by itself."""
    texts = [[vector(model, ids) for ids in rows[number].texts] for number in numbers]
    scores = [rows[number].score for number in numbers]
    if rows.scored:
        squares = [(one @ other - (score or 0)) ** 2 for (one, other), score in zip(texts, scores, strict=True)]
        return torch.stack(squares).mean()
    others = [row[1] for row in texts] + [row[2] for row in texts if len(row) > 2]
    losses = []
    for place, row in enumerate(texts):
        near = torch.stack([20 * (row[0] @ other) for other in others])
        losses.append(F.cross_entropy(near[None], torch.tensor([place])))
    return torch.stack(losses).mean()


def blackboard(run: Run) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step."""
    hyper = Prepared.from_json(run.workspace.prepared.read_bytes()).hyperparameters
    model: Any = learner_of(run).load_base().train()
    rows = EmbeddingRows(run.workspace.train_rows)
    plan = StepPlan(rows.lengths, rows.supervised, hyper.batch_size, hyper.micro_batch_tokens, hyper.seed)
    return train_steps(
        model, plan, hyper, lambda numbers: step_loss(model, rows, numbers), lambda name: name.endswith(("LayerNorm.weight", "bias"))
    )


def check(run: Run) -> None:
    """Losses and gradients are those of the blackboard."""
    for step, (loss, norm) in zip(run.metrics(), blackboard(run), strict=True):
        assert step.loss == pytest.approx(loss, abs=CLOSE), step
        assert step.grad_norm == pytest.approx(norm, rel=1e-3), step


@pytest.mark.parametrize("method", [LORA, QLORA, FULL], ids=["lora", "qlora", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_those_of_the_blackboard(kind: str, method: dict[str, Any], embed: Callable[..., Run]) -> None:
    """In-batch negatives among all texts of a step, though it has several micro-batches; or each pair by its score."""
    run = embed(kind, method=method)
    run_here(run)
    check(run)


@pytest.mark.parametrize(("budget", "checkpointing"), [(1, False), (1000, False), (60, True)])
def test_neither_budget_nor_checkpointing_changes_a_loss(budget: int, checkpointing: bool, embed: Callable[..., Run]) -> None:
    """One row a micro-batch, or the whole step; activations kept, or computed again."""
    run = embed("triplets", method=FULL, hyper={"micro_batch_tokens": budget, "gradient_checkpointing": checkpointing})
    run_here(run)
    check(run)


@pytest.mark.parametrize("strategy", [DDP, FSDP], ids=["ddp", "fsdp"])
def test_two_ranks_compute_what_one_does(strategy: RunStrategy, embed: Callable[..., Run]) -> None:
    """The rows of the other rank are negatives, too; with a filler at the end of an epoch, and with validations."""
    hyper = {"micro_batch_tokens": 100, "validation_every": 3, "validation_examples": 17}
    run = embed("triplets", method=FULL, strategy=strategy, processes=2, hyper=hyper)
    assert run.attempt() == ExitCode.OK
    check(run)
    assert run.result().train.validation.loss == pytest.approx(plain_validation(run, 17), abs=CLOSE)


def plain_validation(run: Run, rows: int) -> float:
    """The loss of the trained model on a random sample, in groups of the batch size."""
    learner, hyper = learner_of(run), Prepared.from_json(run.workspace.prepared.read_bytes()).hyperparameters
    model = learner.load(run.workspace.trained / "model", "fp32", "cpu")
    sample = np.sort(np.random.Generator(np.random.PCG64([hyper.seed, 0, 1])).permutation(ROWS)[:rows]).tolist()
    groups = [sample[begin : begin + hyper.batch_size] for begin in range(0, rows, hyper.batch_size)]
    held_out = EmbeddingRows(run.workspace.validation_rows)
    with torch.no_grad():
        return sum(float(step_loss(model, held_out, group)) * len(group) for group in groups) / rows


@pytest.mark.parametrize("kind", KINDS)
def test_a_validation_has_the_loss_of_the_scores(kind: str, embed: Callable[..., Run]) -> None:
    """Of all rows, as publish scores the trained model."""
    run = embed(kind, method=FULL, hyper={"total_steps": 2, "validation_every": 2, "validation_examples": ROWS})
    run_here(run)
    learner = learner_of(run)
    scores = learner.score(learner.load(run.workspace.trained / "model", "fp32", "cpu"), lambda done, total: None).scores
    found = run.result().train.validation
    assert found.loss == pytest.approx(scores["loss"], abs=1e-5) == pytest.approx(plain_validation(run, ROWS), abs=1e-5)
    assert 0 <= found.accuracy <= 1


def test_the_next_attempt_goes_on_exactly(embed: Callable[..., Run], tmp_path: Path) -> None:
    """With dropout, which is the same in both passes over a micro-batch."""
    lora: dict[str, Any] = LORA["lora"] | {"dropout": 0.1}
    run = embed("pairs", method={"type": "lora", "lora": lora}, hyper={"precision": "bf16"})
    check_resume(run, tmp_path)
