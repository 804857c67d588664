"""The ONNX model of an embedding model: one graph from token ids to vectors of length 1, proven by validation texts.

The exported model sees texts padded beside each other, PyTorch each text by itself: so mask and pooling are proven, too.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from finetune_api.model_directory import Parity
from finetune_trainer.artifacts.exporter import ExportJob
from finetune_trainer.artifacts.onnx.classifier_graph import export_graph
from finetune_trainer.artifacts.onnx.parity import parity_failed
from finetune_trainer.artifacts.onnx.session import open_session
from finetune_trainer.classification.model import pad_token
from finetune_trainer.embedding.batch import TextBatch, texts_batch
from finetune_trainer.embedding.model import embed, embed_batch, load_encoder
from finetune_trainer.embedding.rows import EmbeddingRows, Numbers
from finetune_trainer.tokenizer import copy_tokenizer
from finetune_trainer.workspace.prepared import Pooling

LEAST_COSINE = 0.9999
"""Of the two vectors of a text: rounding alone leaves more."""
TOGETHER = 8
"""Texts of a batch."""
OUTPUT = "embeddings"

Vectors = npt.NDArray[np.float32]


class EmbeddingGraph(nn.Module):
    """The encoder, pooling and normalization with the inputs by position and a tensor as its answer."""

    def __init__(self, model: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.model = model
        self.pooling: Pooling = pooling

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return embed(self.model, {"input_ids": input_ids, "attention_mask": attention_mask}, self.pooling)


class OnnxEmbedding:
    """An exported embedding model."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)

    def vectors(self, batch: TextBatch) -> Vectors:
        """(N, D)."""
        vectors: Vectors
        (vectors,) = self._session.run([OUTPUT], {name: tensor.numpy() for name, tensor in batch.inputs().items()})
        return vectors


def export_embedding(model: Any, pooling: Pooling, path: Path) -> None:
    """Writes model.onnx in fp32 for a model in fp32 on the CPU."""
    texts = [np.ones(size, np.int64) for size in (7, 5)]  # of unlike length: a full mask would be taken for a rule
    export_graph(EmbeddingGraph(model, pooling).eval(), texts_batch(texts, pad_token(model.config)).inputs(), OUTPUT, path)


def publish_embedding(job: ExportJob, folder: str, rows: int) -> Parity:
    """Exports files/model to files/`folder`, and compares the vectors of the texts of the first `rows` validation rows."""
    run, merged, out = job.run, job.files / "model", job.files / folder
    pooling: Pooling = run.prepared.pooling or "mean"
    with job.phases.phase("exporting to ONNX"):
        model = load_encoder(merged)
        export_embedding(model, pooling, out / "model.onnx")
        shutil.copyfile(merged / "config.json", out / "config.json")
        copy_tokenizer(merged, out)
    with job.phases.phase("comparing with PyTorch"):
        held_out = EmbeddingRows(run.workspace.validation_rows, min(rows, run.config.evaluation.max_examples))
        texts = [text for row in range(len(held_out)) for text in held_out[row].texts]
        found = compare(OnnxEmbedding(out / "model.onnx"), model, pooling, texts)
        wrong = [f"text {place} of {len(found)}: the cosine similarity is {cosine:.6f}" for place, cosine in enumerate(found, start=1)
                 if not cosine >= LEAST_COSINE]  # fmt: skip
        job.phases.prompts(len(texts))(len(texts))
    if wrong:
        raise parity_failed(folder, wrong)
    return Parity(artifact=folder, prompts=len(texts), equal=len(texts), tokens=0, min_cosine=min(found))


def compare(exported: OnnxEmbedding, model: Any, pooling: Pooling, texts: Sequence[Numbers]) -> list[float]:
    """The cosine similarity of both vectors of each text."""
    pad, found = pad_token(model.config), list[float]()
    for begin in range(0, len(texts), TOGETHER):
        together = texts[begin : begin + TOGETHER]
        with torch.inference_mode():
            expected = [embed_batch(model, texts_batch([text], pad), pooling)[0].numpy() for text in together]
        given = exported.vectors(texts_batch(together, pad))
        found += [float(one @ other / np.linalg.norm(one)) for one, other in zip(given, expected, strict=True)]
    return found
