"""A classifier as one ONNX graph: batch and length are free, the answer is logits."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from finetune_trainer.artifacts.onnx.session import open_session
from finetune_trainer.classification.batch import Collator, PaddedBatch
from finetune_trainer.classification.rows import LabelledRow
from finetune_trainer.failure import invalid

ONE_FILE = 1_800_000_000
"""Bytes of weights up to which the graph holds them: protobuf ends at 2 GB."""


class LogitsOnly(nn.Module):
    """The model's forward pass with the inputs by position and a tensor as its answer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None) -> torch.Tensor:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **types).logits
        return logits


def export_classifier(model: Any, collator: Collator, path: Path) -> None:
    """Writes model.onnx in fp32 for a model in fp32 on the CPU; weights of 2 GB and more lie beside it."""
    export_graph(LogitsOnly(model).eval(), example(collator).inputs(), "logits", path)


def export_graph(module: nn.Module, inputs: dict[str, torch.Tensor], output: str, path: Path) -> None:
    """Writes a module with one output whose inputs are all (batch, length); raises StageFailure where torch cannot export it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    beside = sum(parameter.nbytes for parameter in module.parameters()) > ONE_FILE
    try:
        with quiet():
            torch.onnx.export(
                module, tuple(inputs.values()), path, input_names=list(inputs), output_names=[output], dynamo=True,
                external_data=beside, verbose=False, dynamic_shapes=tuple({0: batch, 1: length} for _ in inputs),
            )  # fmt: skip
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as exc:
        raise invalid(
            "ExportUnsupported",
            f"this model ({type(module.model).__name__}) cannot be exported to ONNX: {str(exc).strip().splitlines()[0]}",
            param="export.onnx",
        ) from exc


def example(collator: Collator) -> PaddedBatch:
    """Two rows of unlike length: sizes of 1 and full masks would be taken for rules."""
    return collator.batch([LabelledRow(np.ones(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64)) for size in (7, 5)])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter warns of its own libraries, and prints."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        warnings.simplefilter("ignore")
        yield


class OnnxClassifier:
    """An exported classifier."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)

    def logits(self, batch: PaddedBatch) -> npt.NDArray[np.float32]:
        """(N, labels): the logits that count."""
        (logits,) = self._session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.inputs().items()})
        asked: npt.NDArray[np.float32] = logits.reshape(-1, logits.shape[-1])[batch.keep.numpy()]
        return asked
