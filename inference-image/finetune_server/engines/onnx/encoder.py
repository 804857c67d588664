"""An encoder's graph: rows of token ids in, logits or vectors out. Knows no requests, no labels' names and no threads."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from finetune_server.engines.encoder_config import EncoderConfig
from finetune_server.engines.interface import EncoderRow
from finetune_server.engines.onnx.session import open_session
from finetune_server.model_directory import UnusableModel

GRAPH_FILE = "model.onnx"
NEEDED_INPUTS = frozenset({"input_ids", "attention_mask"})
KNOWN_INPUTS = NEEDED_INPUTS | {"token_type_ids"}


class OnnxEncoder:
    """A loaded graph. Raises UnusableModel if it does not match its config."""

    def __init__(self, path: Path, config: EncoderConfig, threads: int) -> None:
        self._session = open_session(path, threads)
        self._inputs = check_graph(self._session, config, str(path))
        self._pad_token = config.pad_token
        self._by_token = config.task == "token-classification"
        self._output = output_of(config)

    def run(self, rows: Sequence[EncoderRow]) -> list[NDArray[np.float32]]:
        """The logits of each row, without those of padding, or its vector."""
        lengths = np.array([len(row.ids) for row in rows])
        mask = np.arange(lengths.max()) < lengths[:, None]
        feed = {
            "input_ids": padded([row.ids for row in rows], mask, self._pad_token),
            "attention_mask": mask.astype(np.int64),
            "token_type_ids": padded([row.type_ids for row in rows], mask, 0),
        }
        (logits,) = self._session.run([self._output], {name: feed[name] for name in self._inputs})
        return [logits[i, :length] if self._by_token else logits[i] for i, length in enumerate(lengths)]


def padded(rows: Sequence[Sequence[int]], mask: NDArray[np.bool_], filler: int) -> NDArray[np.int64]:
    """The rows as a matrix, padded where the mask is False."""
    matrix = np.full(mask.shape, filler, dtype=np.int64)
    matrix[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return matrix


def check_graph(session: onnxruntime.InferenceSession, config: EncoderConfig, path: str) -> list[str]:
    """The names of its inputs. Raises UnusableModel unless inputs and answers are those of such an encoder."""
    inputs = {value.name: value.type for value in session.get_inputs()}
    surprise = (NEEDED_INPUTS - set(inputs)) | (set(inputs) - KNOWN_INPUTS)
    if surprise:
        raise UnusableModel(
            f"{path}: an encoder has the inputs {sorted(KNOWN_INPUTS)}; {sorted(surprise)[0]!r} is unexpected or missing; publish again"
        )
    wrong = next((name for name, kind in inputs.items() if kind != "tensor(int64)"), None)
    if wrong is not None:
        raise UnusableModel(f"{path}: {wrong} is {inputs[wrong]}, not tensor(int64); publish the model again")
    output = next((value for value in session.get_outputs() if value.name == output_of(config)), None)
    rank = 3 if config.task == "token-classification" else 2
    if output is None or len(output.shape) != rank or output.shape[-1] not in (config.dimensions, None):
        found = None if output is None else output.shape
        raise UnusableModel(
            f"{path}: {config.task} has {output_of(config)} of {rank} dimensions, the last of {config.dimensions}; "
            f"found {found}; publish the model again"
        )
    return list(inputs)


def output_of(config: EncoderConfig) -> str:
    """Name of the graph's output."""
    return "embeddings" if config.task == "text-embedding" else "logits"
