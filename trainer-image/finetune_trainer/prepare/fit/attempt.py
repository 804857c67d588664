"""A training that may fit instead of one that does not."""

from dataclasses import dataclass, replace

from finetune_api.run_config import RunConfig
from finetune_trainer.prepare.fit.choice import Choice, TrainingFacts, choose
from finetune_trainer.prepare.hyperparameters import Decided
from finetune_trainer.workspace.prepared import HEADROOM


@dataclass(frozen=True)
class Attempt:
    """A training that may fit instead."""

    words: str
    param: str
    run: RunConfig
    decided: Decided
    facts: TrainingFacts


def tried(attempt: Attempt | None, available: int) -> tuple[Attempt, Choice] | None:
    """With what it would run with; None where it does not fit either, or is no change."""
    choice = fits(attempt, available) if attempt is not None else None
    return (attempt, choice) if attempt is not None and choice is not None else None


def fits(attempt: Attempt, available: int) -> Choice | None:
    """What it would run with, None where it does not fit either. With some room: advice that only just fails is worse than none."""
    choice = choose(attempt.run, attempt.decided, attempt.facts)
    return choice if choice.need.total <= HEADROOM * available else None


def optimized(of: Attempt, optimizer: str) -> Attempt:
    """With another optimizer."""
    hyper = of.run.hyperparameters.model_copy(update={"optimizer": optimizer})
    decided = replace(of.decided, values=of.decided.values.model_copy(update={"optimizer": optimizer}))
    name = "hyperparameters.optimizer"
    run = of.run.model_copy(update={"hyperparameters": hyper})
    return replace(of, words=f"{name}: {optimizer}", param=name, run=run, decided=decided)
