"""How tokens are chosen."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune_server.engines.sampling import Sampler, SamplingParameters, log_softmax, nucleus

pytestmark = pytest.mark.unit

PROBABILITIES = np.array([0.1, 0.5, 0.15, 0.25])
LOGITS = np.log(PROBABILITIES).astype(np.float32)


def frequencies(parameters: SamplingParameters, draws: int = 4000) -> NDArray[np.float64]:
    """How often each of the four tokens is chosen first."""
    chosen = [Sampler(replace(parameters, seed=seed)).choose(LOGITS) for seed in range(draws)]
    return np.bincount(chosen, minlength=4) / draws


@pytest.mark.parametrize(
    "parameters, expected",
    [
        (SamplingParameters(temperature=0), [0, 1, 0, 0]),
        (SamplingParameters(), PROBABILITIES),
        (SamplingParameters(temperature=0.5), PROBABILITIES**2 / (PROBABILITIES**2).sum()),
        (SamplingParameters(top_p=0.7), [0, 2 / 3, 0, 1 / 3]),
        (SamplingParameters(top_p=0), [0, 1, 0, 0]),
    ],
    ids=["greedy", "as the model says", "cooler", "nucleus", "empty nucleus"],
)
def test_distribution(parameters: SamplingParameters, expected: NDArray[np.float64]) -> None:
    """Tokens are chosen as often as temperature and top_p say."""
    assert frequencies(parameters) == pytest.approx(expected, abs=0.03)


def test_seed() -> None:
    """The same seed gives the same tokens, another seed or none gives others."""
    flat = np.zeros(50_000, dtype=np.float32)

    def draw(seed: int | None) -> list[int]:
        sampler = Sampler(SamplingParameters(seed=seed))
        return [sampler.choose(flat) for _ in range(5)]

    assert draw(7) == draw(7)
    assert len({tuple(draw(seed)) for seed in (7, 8, -1, None, None)}) == 5


@pytest.mark.parametrize(
    "presence, frequency, expected",
    [(0, 0, [1, 1, 1]), (0.5, 0, [1, 3, 1]), (3, 0, [1, 3, 2, 0, 1, 1]), (0, 0.5, [1, 3, 1, 2, 3, 1]), (-2, 0, [1, 1])],
)
def test_penalties(presence: float, frequency: float, expected: list[int]) -> None:
    """presence_penalty counts once for each token of the answer, frequency_penalty each time."""
    logits = np.array([0.0, 2.0, 1.2, 1.6], dtype=np.float32)
    sampler = Sampler(SamplingParameters(temperature=0, presence_penalty=presence, frequency_penalty=frequency))
    assert [sampler.choose(logits) for _ in expected] == expected
    assert logits.tolist() == pytest.approx([0.0, 2.0, 1.2, 1.6])


@pytest.mark.parametrize("size", [5, 3000])
@pytest.mark.parametrize("top_p", [0.0, 0.3, 0.9, 0.999999])
def test_nucleus_is_the_smallest(size: int, top_p: float) -> None:
    """The nucleus holds at least top_p and would not without its least likely token; large and small vocabularies alike."""
    weights = np.random.default_rng(0).random(size) ** 2
    kept = nucleus(weights, top_p)
    total = weights.sum()
    assert weights[kept].sum() >= top_p * total - 1e-9
    assert len(kept) == 1 or weights[kept[:-1]].sum() < top_p * total
    assert weights[kept].min() >= np.delete(weights, kept).max(initial=0)


def test_log_softmax() -> None:
    """Log-probabilities are those of the unchanged logits, and do not overflow."""
    assert log_softmax(LOGITS + 1000).tolist() == pytest.approx([math.log(p) for p in PROBABILITIES], abs=1e-4)
