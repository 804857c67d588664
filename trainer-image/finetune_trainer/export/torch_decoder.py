"""A transformers model as a greedy decoder."""

from typing import Any

import torch

from finetune_trainer.export.greedy import Decoder, Logits


def torch_decoder(model: Any) -> Decoder:
    """A decoder of one sequence; it keeps the keys and values of the tokens that it has seen."""
    cache: Any = None

    @torch.inference_mode()
    def decode(tokens: list[int]) -> Logits:
        nonlocal cache
        output = model(input_ids=torch.tensor([tokens]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        logits: Logits = output.logits[0, -1].float().numpy()
        return logits

    return decode
