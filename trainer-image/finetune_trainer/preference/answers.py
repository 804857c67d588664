"""How likely a model finds the answers of a batch."""

import torch
import torch.nn.functional as F
from torch import nn

from finetune_trainer.language_model.head import SupervisedHead
from finetune_trainer.preference.batch import AnswerBatch


def log_probs(head: SupervisedHead, model: nn.Module, batch: AnswerBatch) -> torch.Tensor:
    """(B, A) fp32: of each answer the sum of its tokens' log-probabilities (nats), each given the prompt and the tokens before it.

    For a filler (0, A), with a gradient of zeros.
    """
    logits = head.logits(model, batch.tokens)
    tokens = -F.cross_entropy(logits.float(), batch.tokens.targets, reduction="none")
    sums = torch.zeros(batch.counts.numel(), dtype=torch.float32, device=tokens.device)
    return sums.index_add(0, batch.answer_of, tokens).view(batch.counts.shape)
