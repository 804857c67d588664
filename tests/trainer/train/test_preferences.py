"""Objectives that compare answers: the losses of a blackboard, however the step is cut, and the base's log-probabilities computed once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunMethod, RunStrategy
from finetune_trainer.failure import StageFailure
from finetune_trainer.language_model.model import load_base
from finetune_trainer.methods import METHODS
from finetune_trainer.objectives.objective import Answers
from finetune_trainer.objectives.orpo import ORPO as ORPO_ENTRY
from finetune_trainer.preference.rows import AnswerRows, ComparedRows
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.workspace.prepared import Prepared
from tests.models.tiny_models import make_language_model
from tests.trainer.train.blackboard import Loss, train_plainly
from tests.trainer.train.conftest import run_here
from tests.trainer.train.pairs import DPO
from tests.trainer.train.runs import FULL, LORA, Run
from tests.trainer.train.test_resume import ROUNDING, stop_at

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
BETA = DPO["dpo"]["beta"]
IPO: dict[str, Any] = {"objective": "dpo", "dpo": {"beta": BETA, "loss": "ipo"}}
CONSERVATIVE: dict[str, Any] = {"objective": "dpo", "dpo": {"beta": BETA, "labelSmoothing": 0.2}}
ORPO: dict[str, Any] = {"objective": "orpo", "orpo": {"beta": BETA}}
CLOSE = 1e-4


def blackboard(run: Run) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step: every answer by itself, and a second model in memory that stays the base."""
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    hyper, answers = prepared.hyperparameters, AnswerRows(run.workspace.train_rows)
    rows = ComparedRows(answers)
    plan = StepPlan(rows.lengths, rows.supervised, hyper.batch_size, hyper.micro_batch_tokens, hyper.seed)
    model: Any = load_base(prepared, METHODS[run.method["type"]]).train()
    base: Any = AutoModelForCausalLM.from_pretrained(prepared.base_path, dtype=torch.float32)

    def log_prob(network: Any, place: int) -> torch.Tensor:
        ids, mask = map(torch.from_numpy, answers[place])
        return (F.log_softmax(network(input_ids=ids[None]).logits[0, :-1], -1)[range(len(ids) - 1), ids[1:]] * mask[1:]).sum()

    def pair_loss(row: int) -> Loss:
        policy = [log_prob(model, place) for place in (2 * row, 2 * row + 1)]
        lengths = [int(answers.supervised[place]) for place in (2 * row, 2 * row + 1)]
        if run.method["objective"] == "orpo":
            better, worse = (torch.exp(sum_ / length) for sum_, length in zip(policy, lengths, strict=True))
            ratio = (better / (1 - better)) / (worse / (1 - worse))
            return -torch.log(better) - BETA * torch.log(torch.sigmoid(torch.log(ratio))), 1
        with torch.no_grad():
            reference = [log_prob(base, place) for place in (2 * row, 2 * row + 1)]
        chosen, rejected = (mine - other for mine, other in zip(policy, reference, strict=True))
        if run.method["dpo"].get("loss") == "ipo":
            return (chosen / lengths[0] - rejected / lengths[1] - 1 / (2 * BETA)) ** 2, 1
        wrong, right = run.method["dpo"].get("labelSmoothing", 0), torch.sigmoid(BETA * (chosen - rejected))
        return -(1 - wrong) * torch.log(right) - wrong * torch.log(1 - right), 1

    return train_plainly(model, plan, hyper, pair_loss, undecayed=lambda name: "norm" in name)


@pytest.mark.parametrize("objective", [DPO, IPO, CONSERVATIVE, ORPO], ids=["sigmoid", "ipo", "conservative", "orpo"])
@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
def test_losses_and_gradients_are_those_of_the_blackboard(
    method: dict[str, Any], objective: dict[str, Any], new_pairs: Callable[..., Run]
) -> None:
    """All steps, over an epoch whose last step is short."""
    run = new_pairs(method=method | objective, hyper={"learning_rate": 1e-3 if method is LORA else 1e-5})
    run_here(run)
    for step, (loss, norm) in zip(run.metrics(), blackboard(run), strict=True):
        assert step.loss == pytest.approx(loss, abs=CLOSE), step
        assert step.grad_norm == pytest.approx(norm, rel=1e-3), step


def test_an_objective_without_a_reference_makes_no_pass_over_the_base(new_pairs: Callable[..., Run]) -> None:
    """Two processes find its losses, figures and validations as one does."""
    hyper = {"validation_every": 2, "validation_examples": 6}
    here, two = new_pairs(method=LORA | ORPO, hyper=hyper), new_pairs(method=LORA | ORPO, hyper=hyper, processes=2)
    run_here(here)
    assert two.attempt() == ExitCode.OK
    assert two.losses() == pytest.approx(here.losses(), abs=CLOSE)
    for mine, other in zip(two.metrics(), here.metrics(), strict=True):
        assert mine.reward_margin == pytest.approx(other.reward_margin, abs=1e-3)
        assert mine.valid_loss == pytest.approx(other.valid_loss, abs=CLOSE)
    assert not here.workspace.reference.exists()


def test_the_odds_of_a_certain_answer_are_finite() -> None:
    """A log-probability of 0, as a model has that has learned an answer by heart in fp32, and so is their gradient."""
    certain = torch.zeros(1, 2, requires_grad=True)
    losses = ORPO_ENTRY.losses(RunMethod.model_validate(ORPO), Answers(certain, torch.zeros(1, 2), torch.ones(1, 2)))
    losses.losses.sum().backward()  # type: ignore[no-untyped-call]
    assert certain.grad is not None
    assert torch.isfinite(torch.cat([losses.losses, certain.grad[0]])).all()


def test_the_first_step_starts_from_no_margin(new_pairs: Callable[..., Run]) -> None:
    """The base is its own reference: a loss of ln 2, half of the pairs right; then the margin grows."""
    run = new_pairs()
    run_here(run)
    first, *_, last = run.metrics()
    assert first.loss == pytest.approx(np.log(2), abs=1e-6)
    assert (first.reward_accuracy, first.reward_margin) == (0.5, 0.0)
    assert last.reward_accuracy == 1.0
    assert last.reward_margin is not None
    assert last.reward_margin > 0.1


def test_the_reference_is_without_noise(new_pairs: Callable[..., Run]) -> None:
    """NEFTune's noise is added where the model is trained: not to the base, but to the first step, which then has a margin."""
    plain, noisy = new_pairs(), new_pairs(hyper={"neftune_noise": 15.0})
    run_here(plain)
    run_here(noisy)
    reference = "train/log-probs.npy"
    assert np.array_equal(np.load(noisy.workspace.reference / reference), np.load(plain.workspace.reference / reference))
    assert noisy.metrics()[0].reward_margin != 0


@pytest.mark.parametrize("budget", [1, 1000])
def test_the_token_budget_changes_no_loss(budget: int, new_pairs: Callable[..., Run]) -> None:
    """A pair a row, or a whole step in one row."""
    here, other = new_pairs(), new_pairs(hyper={"micro_batch_tokens": budget})
    run_here(here)
    run_here(other)
    assert other.losses() == pytest.approx(here.losses(), abs=CLOSE)


def test_a_model_that_lets_packed_rows_see_each_other(new_pairs: Callable[..., Run], tmp_path: Path) -> None:
    """The answers of a pair are padded side by side; the losses are those of the blackboard."""
    base = make_language_model("mamba", tmp_path / "mamba")
    vocabulary = AutoModelForCausalLM.from_pretrained(base).config.vocab_size
    run = new_pairs(base=base, method=FULL | DPO, vocabulary=vocabulary, hyper={"total_steps": 3})
    run_here(run)
    assert run.losses() == pytest.approx([loss for loss, _ in blackboard(run)], abs=CLOSE)


def test_two_processes_find_the_same(new_pairs: Callable[..., Run]) -> None:
    """Losses, figures, and validations with rewards relative to the base."""
    hyper = {"validation_every": 2, "validation_examples": 6}
    here, two = new_pairs(hyper=hyper), new_pairs(hyper=hyper, processes=2)
    run_here(here)
    assert two.attempt() == ExitCode.OK
    assert two.losses() == pytest.approx(here.losses(), abs=CLOSE)
    for mine, other in zip(two.metrics(), here.metrics(), strict=True):
        assert mine.reward_margin == pytest.approx(other.reward_margin, abs=1e-3)
        assert mine.reward_accuracy == other.reward_accuracy
        assert mine.valid_loss == pytest.approx(other.valid_loss, abs=CLOSE)


@pytest.mark.parametrize(("method", "sharding"), [(LORA, "full"), (LORA, "grad"), (FULL, "full")])
def test_shards_of_the_weights(method: dict[str, Any], sharding: Any, new_pairs: Callable[..., Run]) -> None:
    """The pass over the base, validations and steps of fsdp, whose adapters are switched off in every shard."""
    hyper = {"validation_every": 2, "validation_examples": 6, "learning_rate": 1e-3 if method is LORA else 1e-5}
    strategy = RunStrategy(type="fsdp", sharding=sharding)
    here, sharded = new_pairs(method=method | DPO, hyper=hyper), new_pairs(method=method | DPO, hyper=hyper, strategy=strategy)
    run_here(here)
    run_here(sharded)
    assert sharded.losses() == pytest.approx(here.losses(), abs=CLOSE)
    assert [step.valid_loss for step in sharded.metrics()] == [pytest.approx(step.valid_loss, abs=CLOSE) for step in here.metrics()]


@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("step", [2, 4])
def test_a_resumed_run_has_the_same_losses(step: int, method: dict[str, Any], new_pairs: Callable[..., Run]) -> None:
    """After SIGTERM within the first epoch and in the second."""
    whole, run = new_pairs(method=method | DPO), new_pairs(method=method | DPO)
    run_here(whole)
    with pytest.raises(StageFailure, match=f"at step {step}, with a checkpoint"):
        run_here(run, 1, stop_at(run, step))
    run_here(run, 2)
    assert run.losses() == pytest.approx(whole.losses(), rel=ROUNDING)


def test_an_interrupted_pass_goes_on(new_pairs: Callable[..., Run]) -> None:
    """What was computed before the SIGTERM is read, and the rest computed; afterwards the folder is sealed."""
    whole, run = new_pairs(), new_pairs()
    run_here(whole)
    folder = run.workspace.reference / "train"
    with pytest.raises(StageFailure, match=r"computing reference log-probabilities \(2 of 3\)"):
        run_here(run, 1, lambda: any(folder.glob("piece-*")))
    (piece,) = folder.glob("piece-*")
    before = piece.stat().st_mtime_ns
    with pytest.raises(StageFailure, match=r"\(3 of 3\)"):
        run_here(run, 2, lambda: len(list(folder.glob("piece-*"))) == 2)
    assert piece.stat().st_mtime_ns == before
    run_here(run, 3)
    assert run.losses() == pytest.approx(whole.losses(), rel=ROUNDING)
    assert sorted(path.name for path in folder.iterdir()) == [".complete", "log-probs.npy"]


@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
def test_damaged_log_probabilities_are_computed_again(method: dict[str, Any], new_pairs: Callable[..., Run]) -> None:
    """Of the base, also where the weights have been trained since."""
    whole, run = new_pairs(method=method | DPO), new_pairs(method=method | DPO)
    run_here(whole)
    with pytest.raises(StageFailure, match="at step 2, with a checkpoint"):
        run_here(run, 1, stop_at(run, 2))
    file = run.workspace.reference / "train/log-probs.npy"
    content = file.read_bytes()
    file.write_bytes(content[:-8] + bytes(8))
    run_here(run, 2)
    assert np.load(file) == pytest.approx(np.load(whole.workspace.reference / "train/log-probs.npy"), abs=CLOSE)
    assert run.losses() == pytest.approx(whole.losses(), abs=CLOSE)
