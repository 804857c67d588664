"""The objective kto: the losses of a blackboard, however the step is cut, with a divergence that is that of the whole step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunStrategy
from finetune_trainer.failure import StageFailure
from finetune_trainer.language_model.model import load_base
from finetune_trainer.methods import METHODS
from finetune_trainer.preference.mismatched import MismatchedAnswers
from finetune_trainer.preference.rated import RatedLearner
from finetune_trainer.preference.rows import AnswerRows, ComparedRows, read_labels
from finetune_trainer.step_plan import StepPlan
from finetune_trainer.workspace.prepared import Prepared
from tests.models.tiny_models import make_language_model
from tests.trainer.train.blackboard import train_steps
from tests.trainer.train.conftest import run_here
from tests.trainer.train.rated import KTO, write_rated
from tests.trainer.train.runs import FULL, LORA, Run
from tests.trainer.train.test_resume import ROUNDING, stop_at

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
BETA, DESIRABLE, UNDESIRABLE = (KTO["kto"][name] for name in ("beta", "desirableWeight", "undesirableWeight"))
CLOSE = 1e-4
VALIDATED: dict[str, Any] = {"validation_every": 2, "validation_examples": 6}
Ids = list[int]


def log_prob(model: Any, prompt: Ids, answer: Ids) -> torch.Tensor:
    """Of an answer after a prompt."""
    ids = torch.tensor([*prompt, *answer])
    places = range(len(prompt) - 1, len(ids) - 1)
    return F.log_softmax(model(input_ids=ids[None]).logits[0, places], -1)[range(len(answer)), ids[len(prompt) :]].sum()


def halves(path: Path) -> list[tuple[Ids, Ids]]:
    """Prompt and answer of each row."""
    rows = AnswerRows(path)
    return [(ids[~mask].tolist(), ids[mask].tolist()) for ids, mask in map(rows.__getitem__, range(len(rows)))]


def kto_losses(model: Any, base: Any, path: Path, rows: list[int], longest: int) -> tuple[torch.Tensor, list[float], float]:
    """Losses and rewards of some rows of a file, and the divergence, as in the paper: every answer by itself."""
    texts, other = halves(path), MismatchedAnswers(path, longest, seed=7).other
    desirable = read_labels(path)
    with torch.no_grad():
        reference = [log_prob(base, *texts[row]) for row in rows]
        pairs = [(texts[row][0], texts[other[row]][1]) for row in rows]
        found = [(log_prob(model, *pair) - log_prob(base, *pair)).item() for pair in pairs]
    kl = max(0.0, sum(found) / len(found))
    ratios = [log_prob(model, *texts[row]) - before for row, before in zip(rows, reference, strict=True)]
    losses = [
        DESIRABLE - DESIRABLE * torch.sigmoid(BETA * (ratio - kl))
        if desirable[row]
        else UNDESIRABLE - UNDESIRABLE * torch.sigmoid(BETA * (kl - ratio))
        for row, ratio in zip(rows, ratios, strict=True)
    ]
    return torch.stack(losses), [BETA * ratio.item() for ratio in ratios], kl


def blackboard(run: Run) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step, with a second model in memory that stays the base."""
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    hyper, rows = prepared.hyperparameters, ComparedRows(AnswerRows(run.workspace.train_rows))
    plan = StepPlan(rows.lengths, rows.supervised, hyper.batch_size, hyper.micro_batch_tokens, hyper.seed)
    model: Any = load_base(prepared, METHODS[run.method["type"]]).train()
    base: Any = AutoModelForCausalLM.from_pretrained(prepared.base_path, dtype=torch.float32)

    def step_loss(rows: list[int]) -> torch.Tensor:
        return kto_losses(model, base, run.workspace.train_rows, rows, hyper.max_sequence_length)[0].mean()

    return train_steps(model, plan, hyper, step_loss, undecayed=lambda name: "norm" in name)


@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
def test_losses_and_gradients_are_those_of_the_blackboard(method: dict[str, Any], new_rated: Callable[..., Run]) -> None:
    """All steps, over an epoch whose last step is short; the model moves away from the base."""
    run = new_rated(method=method | KTO, hyper={"learning_rate": 1e-2 if method is LORA else 1e-4})
    run_here(run)
    for step, (loss, norm) in zip(run.metrics(), blackboard(run), strict=True):
        assert step.loss == pytest.approx(loss, abs=CLOSE), step
        assert step.grad_norm == pytest.approx(norm, rel=1e-3), step
    assert max(step.kl or 0 for step in run.metrics()) > 0.01


def test_the_first_step_starts_from_the_base(new_rated: Callable[..., Run]) -> None:
    """No divergence, rewards of 0, and half of each weight as the loss; then the margin grows."""
    run = new_rated(hyper={"learning_rate": 1e-2})
    run_here(run)
    first, *_, last = run.metrics()
    rows = ComparedRows(AnswerRows(run.workspace.train_rows))
    examples = StepPlan(rows.lengths, rows.supervised, 6, 60, 7).examples(0, 0)
    weights = np.where(read_labels(run.workspace.train_rows)[examples], DESIRABLE, UNDESIRABLE)
    assert first.loss == pytest.approx(weights.mean() / 2, abs=1e-5)
    assert (first.reward_margin, first.kl) == pytest.approx((0, 0), abs=1e-5)
    assert last.reward_accuracy is not None and last.reward_accuracy > 0.5
    assert last.reward_margin is not None and last.reward_margin > 0.1


def test_the_divergence_is_without_noise(new_rated: Callable[..., Run]) -> None:
    """NEFTune's noise is added to the answers that are learned alone."""
    run = new_rated(hyper={"neftune_noise": 15.0, "total_steps": 1})
    run_here(run)
    (first,) = run.metrics()
    assert first.kl == pytest.approx(0, abs=1e-5)
    assert abs(first.reward_margin or 0) > 1e-4


@pytest.mark.parametrize("budget", [1, 1000])
def test_the_token_budget_changes_no_loss(budget: int, new_rated: Callable[..., Run]) -> None:
    """An answer a row, or a whole step in one row: the divergence is that of the step."""
    here, other = new_rated(hyper={"learning_rate": 1e-2}), new_rated(hyper={"learning_rate": 1e-2, "micro_batch_tokens": budget})
    run_here(here)
    run_here(other)
    assert other.losses() == pytest.approx(here.losses(), abs=CLOSE)
    assert [step.kl for step in other.metrics()] == pytest.approx([step.kl for step in here.metrics()], abs=1e-3)


def test_a_model_that_lets_packed_rows_see_each_other(new_rated: Callable[..., Run], tmp_path: Path) -> None:
    """Answers are computed one by one; the losses are those of the blackboard."""
    base = make_language_model("mamba", tmp_path / "mamba")
    vocabulary = AutoModelForCausalLM.from_pretrained(base).config.vocab_size
    run = new_rated(base=base, method=FULL | KTO, vocabulary=vocabulary, hyper={"total_steps": 3})
    run_here(run)
    assert run.losses() == pytest.approx([loss for loss, _ in blackboard(run)], abs=CLOSE)


def test_two_processes_find_the_same(new_rated: Callable[..., Run]) -> None:
    """Losses, figures, and validations with the divergence of the sample."""
    hyper = VALIDATED | {"learning_rate": 1e-2}
    here, two = new_rated(hyper=hyper), new_rated(hyper=hyper, processes=2)
    run_here(here)
    assert two.attempt() == ExitCode.OK
    assert two.losses() == pytest.approx(here.losses(), abs=CLOSE)
    for mine, other in zip(two.metrics(), here.metrics(), strict=True):
        assert (mine.reward_margin, mine.kl) == pytest.approx((other.reward_margin, other.kl), abs=2e-3)
        assert mine.reward_accuracy == pytest.approx(other.reward_accuracy)
        assert mine.valid_loss == pytest.approx(other.valid_loss, abs=CLOSE)


@pytest.mark.parametrize(
    ("method", "strategy"),
    [
        (LORA, RunStrategy(type="fsdp", sharding="full")),
        (FULL, RunStrategy(type="fsdp", sharding="full")),
        (LORA, RunStrategy(type="deepspeed", zero_stage=3)),
    ],
    ids=["lora fsdp", "full fsdp", "lora ZeRO-3"],
)
def test_shards_of_the_weights(method: dict[str, Any], strategy: RunStrategy, new_rated: Callable[..., Run]) -> None:
    """The passes over the base, over the mismatched answers of a step, validations and steps."""
    hyper = VALIDATED | {"learning_rate": 1e-3 if method is LORA else 1e-5, "total_steps": 3}
    here, sharded = new_rated(method=method | KTO, hyper=hyper), new_rated(method=method | KTO, hyper=hyper, strategy=strategy, processes=2)
    run_here(here)
    assert sharded.attempt() == ExitCode.OK
    assert sharded.losses() == pytest.approx(here.losses(), abs=CLOSE)
    assert [step.valid_loss for step in sharded.metrics()] == [pytest.approx(step.valid_loss, abs=CLOSE) for step in here.metrics()]


@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("step", [2, 4])
def test_a_resumed_run_has_the_same_losses(step: int, method: dict[str, Any], new_rated: Callable[..., Run]) -> None:
    """After SIGTERM within the first epoch and in the second; figures, too."""
    whole, run = new_rated(method=method | KTO), new_rated(method=method | KTO)
    run_here(whole)
    with pytest.raises(StageFailure, match=f"at step {step}, with a checkpoint"):
        run_here(run, 1, stop_at(run, step))
    run_here(run, 2)
    assert run.losses() == pytest.approx(whole.losses(), rel=ROUNDING)
    assert [found.kl for found in run.metrics()] == pytest.approx([found.kl for found in whole.metrics()], rel=ROUNDING)


def test_validations_and_scores_are_those_of_the_blackboard(new_rated: Callable[..., Run]) -> None:
    """The validation of the last step, over all rows, and the scores that publish would give the same weights; the base has its own by
    definition."""
    run = new_rated(hyper={"learning_rate": 1e-2, "validation_every": 5, "validation_examples": 7})
    run_here(run)
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    learner = RatedLearner(run.config(), prepared, run.workspace)
    base = learner.load(Path(prepared.base_path), "fp32", "cpu")
    before = learner.score(base, lambda done, total: None).scores
    adapter = run.workspace.trained / METHODS["lora"].folder
    model = METHODS["lora"].merge(learner.load(Path(prepared.base_path), "fp32", "cpu"), adapter)
    after = learner.score(model, lambda done, total: None).scores
    path = run.workspace.validation_rows
    labels, longest = read_labels(path), prepared.hyperparameters.max_sequence_length
    losses, found, kl = kto_losses(model, base, path, list(range(7)), longest)
    rewards = np.array(found)
    assert (after["loss"], after["kl"]) == pytest.approx((losses.mean().item(), kl), abs=CLOSE)
    assert after["rewardMargin"] == pytest.approx(rewards[labels].mean() - rewards[~labels].mean(), abs=CLOSE)
    assert after["rewardAccuracy"] == pytest.approx(((rewards > 0) == labels).mean())
    assert run.metrics()[-1].valid_loss == pytest.approx(after["loss"], abs=CLOSE)
    assert run.metrics()[-1].valid_mean_token_accuracy == pytest.approx(after["rewardAccuracy"])
    assert (before["rewardAccuracy"], before["rewardMargin"], before["kl"]) == (0.5, 0, 0)
    assert before["loss"] == pytest.approx(np.where(labels, DESIRABLE, UNDESIRABLE).mean() / 2)
    texts = [text for text, label in zip(halves(path), labels, strict=True) if label]
    with torch.no_grad():
        likelihood = sum(log_prob(model, *text).item() for text in texts) / sum(len(answer) for _, answer in texts)
    assert after["perplexity"] == pytest.approx(np.exp(-likelihood), rel=1e-4)


def test_a_group_of_processes_counts_once(even: Path, new_rated: Callable[..., Run]) -> None:
    """Two processes that compute each layer together have the divergence and the losses of one."""
    hyper = VALIDATED | {"learning_rate": 1e-2, "total_steps": 3}
    divided = RunStrategy(type="tensor-parallel", tensor_parallel_size=2)
    here, two = new_rated(base=even, hyper=hyper), new_rated(base=even, hyper=hyper, strategy=divided, processes=2)
    run_here(here)
    assert two.attempt() == ExitCode.OK
    for mine, other in zip(two.metrics(), here.metrics(), strict=True):
        assert (mine.loss, mine.kl) == pytest.approx((other.loss, other.kl), abs=1e-3)
        assert mine.valid_loss == pytest.approx(other.valid_loss, abs=1e-3)


@pytest.mark.parametrize("longest", [12, 100])
def test_every_prompt_gets_the_answer_of_another_row(longest: int, tmp_path: Path) -> None:
    """Each answer once, in one cycle; cut as prepare cuts rows, with lengths and counts that are right."""
    write_rated(tmp_path / "rows.arrow", 9, 100)
    texts, rows = halves(tmp_path / "rows.arrow"), MismatchedAnswers(tmp_path / "rows.arrow", longest, seed=1)
    seen, row = [], 0
    for _ in range(9):
        seen.append(row)
        row = int(rows.other[row])
    assert (sorted(seen), row) == (list(range(9)), 0)
    for row in range(9):
        ids, mask = rows[row]
        prompt, answer = texts[row][0], texts[rows.other[row]][1]
        assert ids.tolist() == [*prompt, *answer][:longest]
        assert (rows.lengths[row], rows.supervised[row]) == (len(ids), mask.sum())
