"""Loss and retrieval, or the agreement with scores, of a model on the validation rows."""

from typing import Any

import numpy as np
import torch

from finetune_trainer.embedding.batch import texts_batch
from finetune_trainer.embedding.loss import Vectors, contrastive_losses, similarity_losses
from finetune_trainer.embedding.model import embed_batch
from finetune_trainer.embedding.retrieval import Floats, TextKeys, ranks_of, recall, spearman
from finetune_trainer.embedding.rows import EmbeddingRows, Numbers, key_of
from finetune_trainer.learner import Show
from finetune_trainer.statistics.statistic import Measured, mean
from finetune_trainer.step_plan import cut
from finetune_trainer.workspace.prepared import Pooling


class EmbeddedTexts:
    """The vectors of all texts of some rows, each text computed once."""

    def __init__(self, model: Any, rows: EmbeddingRows, pad_token: int, pooling: Pooling, budget: int, show: Show) -> None:
        """`budget` is the padded tokens of a forward pass; `show` is called with the tokens so far, and all."""
        self.rows = [tuple(map(key_of, rows[row].texts)) for row in range(len(rows))]
        texts = {key: ids for row, keys in enumerate(self.rows) for key, ids in zip(keys, rows[row].texts, strict=True)}
        self.place_of = {key: place for place, key in enumerate(texts)}
        self.vectors = vectors_of(model, list(texts.values()), pad_token, pooling, budget, show)

    def side(self, side: int, rows: range) -> tuple[Floats, TextKeys]:
        """Vectors and keys of one text (0: anchor, 1: positive, 2: negative) of these rows, where they have it."""
        keys = np.array([self.rows[row][side] for row in rows if side < len(self.rows[row])], np.int64)
        return self.vectors[[self.place_of[int(key)] for key in keys]], keys

    def group(self, rows: range) -> Vectors:
        """All texts of these rows."""
        vectors, keys = (np.concatenate(parts) for parts in zip(*(self.side(side, rows) for side in range(3)), strict=True))
        return Vectors(len(rows), torch.from_numpy(vectors).double(), torch.from_numpy(keys))


@torch.inference_mode()
def vectors_of(model: Any, texts: list[Numbers], pad_token: int, pooling: Pooling, budget: int, show: Show) -> Floats:
    """(texts, D), those of similar length together."""
    lengths = np.array([len(text) for text in texts], np.int64)
    found: dict[int, Floats] = {}
    device, done = next(model.parameters()).device, 0
    for places in cut(np.arange(len(texts)), lengths, budget):
        batch = texts_batch([texts[place] for place in places], pad_token).to(device)
        found |= dict(zip(places, embed_batch(model, batch, pooling).cpu().numpy(), strict=True))
        done += int(lengths[places].sum())
        show(done, int(lengths.sum()))
    return np.stack([found[place] for place in range(len(texts))])


def scores_of(found: EmbeddedTexts, rows: EmbeddingRows, group: int) -> Measured:
    """Of vectors. Rows without scores are contrasted within groups of `group` rows, as in training; retrieval is among all texts."""
    every = range(len(rows))
    groups = [range(begin, min(begin + group, len(rows))) for begin in range(0, len(rows), group)]
    if rows.scored:
        wanted = torch.tensor([rows[row].score for row in every], dtype=torch.float64)
        vectors = found.group(every)
        near = (vectors.vectors[: len(rows)] * vectors.vectors[len(rows) :]).sum(dim=-1)
        statistics = {"loss": mean(similarity_losses(vectors, wanted)), "spearman": spearman(near.numpy(), wanted.numpy())}
        return Measured(len(rows), statistics)
    loss = mean(torch.cat([contrastive_losses(found.group(some)) for some in groups]))
    (anchors, anchor_keys), (positives, answers), (negatives, others) = (found.side(side, every) for side in range(3))
    keys, first = np.unique(np.concatenate([answers, others]), return_index=True)
    ranks = ranks_of(anchors, anchor_keys, answers, np.concatenate([positives, negatives])[first], keys)
    return Measured(len(rows), {"loss": loss, "recallAt1": recall(ranks, 1), "recallAt10": recall(ranks, 10)})
