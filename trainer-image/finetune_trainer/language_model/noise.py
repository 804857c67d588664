"""NEFTune (Jain et al. 2023): while a model is trained, uniform noise is added to the embeddings of its input tokens.

The noise of an example depends on the seed, the step and the row alone, and its size on the example's own length: neither packing nor
the number of micro-batches or processes changes a loss, and a resumed training has the noise of an uninterrupted one.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from finetune_trainer.language_model.batch import ExamplePlace, TokenBatch


class EmbeddingNoise:
    """Adds noise to what a model's embeddings make of token ids: in each value of an example of L tokens and d dimensions, uniform between
    -alpha / sqrt(L d) and alpha / sqrt(L d)."""

    def __init__(self, model: Any, alpha: float, seed: int) -> None:
        """`model` is what a wrapper (DDP) goes around later."""
        self._embeddings: nn.Module = model.get_input_embeddings()
        self._alpha = alpha
        self._seed = seed

    @contextlib.contextmanager
    def during(self, batch: TokenBatch) -> Iterator[None]:
        """Around the forward pass of a batch."""

        def add(_: nn.Module, __: Any, embedded: torch.Tensor) -> torch.Tensor:
            return embedded + self._noise(batch, embedded)

        hook = self._embeddings.register_forward_hook(add)
        try:
            yield
        finally:
            hook.remove()

    def _noise(self, batch: TokenBatch, embedded: torch.Tensor) -> torch.Tensor:
        """(B, T, d) as `embedded`; 0 where there is padding."""
        noise = torch.zeros_like(embedded, requires_grad=False)
        flat = noise.view(-1, embedded.shape[-1])
        generator = torch.Generator(embedded.device)
        for example in batch.examples:
            generator.manual_seed(noise_seed(self._seed, batch.step, example))
            values = torch.rand((example.length, flat.shape[1]), generator=generator, device=embedded.device)
            flat[example.start : example.start + example.length] = (2 * values - 1) * (self._alpha / values.numel() ** 0.5)
        return noise


def noise_seed(seed: int, step: int, example: ExamplePlace) -> int:
    """Seed of an example's noise in one step of the run."""
    return int(np.random.SeedSequence([seed, step, example.row]).generate_state(1, np.uint64)[0] >> np.uint64(1))
