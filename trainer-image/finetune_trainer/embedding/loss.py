"""What the vectors of pairs cost.

Without scores: a text is to find the one that belongs to it among all other rows' texts of the same step (in-batch negatives: van den
Oord et al. 2018, "InfoNCE"; MultipleNegativesRankingLoss of sentence-transformers). So the loss of a row depends on the step, which may be
divided among processes and micro-batches: all vectors of the step are computed first, then the gradient of its loss with respect to each
of them, and with that the model's, one micro-batch after the other (Gao et al. 2021, "GradCache"). The result is that of one large batch.

With scores: the squared difference between the cosine similarity and the score (CosineSimilarityLoss), each row by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

SCALE = 20.0
"""Factor on cosine similarities before the softmax, the inverse of a temperature of 0.05: the default of sentence-transformers."""


@dataclass(frozen=True)
class Vectors:
    """The texts of B rows as TextBatch orders them: N vectors (N, D), and the keys (N,) of the texts."""

    rows: int
    vectors: torch.Tensor
    keys: torch.Tensor


@dataclass(frozen=True)
class Share:
    """What a micro-batch has of the loss of its step."""

    loss: float
    """Sum over its rows."""
    gradient: torch.Tensor
    """(N, D): of the step's sum, with respect to its vectors."""


def similarity_losses(found: Vectors, scores: torch.Tensor) -> torch.Tensor:
    """(B,): of scored rows."""
    return (cosines(found) - scores).square()


def cosines(found: Vectors) -> torch.Tensor:
    """(B,): of anchors and positives."""
    return (found.vectors[: found.rows] * found.vectors[found.rows : 2 * found.rows]).sum(dim=-1)


def similarities(found: Vectors) -> torch.Tensor:
    """(B, C): of each anchor and all C other texts; the positive of row i is at (i, i).

    -inf for a text that is the same as the anchor or its positive, in another row: it is no wrong answer.
    """
    anchors, others = found.vectors[: found.rows], found.vectors[found.rows :]
    own, keys = found.keys[: found.rows, None], found.keys[found.rows :]
    same = (keys == own) | (keys == keys[: found.rows, None])
    same.fill_diagonal_(False)
    return (SCALE * anchors @ others.T).masked_fill(same, -torch.inf)


def contrastive_losses(found: Vectors) -> torch.Tensor:
    """(B,): of rows without scores, each among all of them."""
    return F.cross_entropy(similarities(found), torch.arange(found.rows, device=found.vectors.device), reduction="none")


def joined(parts: Mapping[int, Vectors]) -> Vectors:
    """The rows of several micro-batches, by index, as one: their anchors, then their positives, then their negatives."""
    ordered = [parts[index] for index in sorted(parts) if parts[index].rows]
    sides = [(slice(0, part.rows), slice(part.rows, 2 * part.rows), slice(2 * part.rows, None)) for part in ordered]
    places = [(part, cut[side]) for side in range(3) for part, cut in zip(ordered, sides, strict=True)]
    vectors, keys = (torch.cat([getattr(part, name)[place] for part, place in places]) for name in ("vectors", "keys"))
    return Vectors(sum(part.rows for part in ordered), vectors, keys)


def shares(parts: Mapping[int, Vectors]) -> dict[int, Share]:
    """Each micro-batch's share of the loss of a step, by index. The vectors are those of the whole step."""
    if not parts:
        return {}
    leaves = {index: part.vectors.double().requires_grad_() for index, part in parts.items()}
    with torch.enable_grad():
        losses = contrastive_losses(joined({index: Vectors(part.rows, leaves[index], part.keys) for index, part in parts.items()}))
        losses.sum().backward()  # type: ignore[no-untyped-call]
    found: dict[int, Share] = {}
    begin = 0
    for index in sorted(parts):
        leaf, rows = leaves[index], parts[index].rows
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        found[index] = Share(float(losses[begin : begin + rows].detach().sum()), gradient.float())
        begin += rows
    return found
