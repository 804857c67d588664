"""A decoder graph of the onnxruntime-genai builder and its key-value memory. Knows no requests, no sampling and no threads.

The graph (GroupQueryAttention) takes each row's length from the sum of its attention mask, so rows of different
length run together. `past` and `present` are bound to the same memory: a step writes one position per row and copies nothing.
"""

import contextlib
import math
import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from finetune_server.engines.onnx.genai_config import GenaiConfig
from finetune_server.engines.onnx.session import open_session
from finetune_server.engines.sampling import Logits
from finetune_server.model_directory import UnusableModel


class OnnxDecoder:
    """A `Decoder` (finetune_server.engines.batching.slot_batcher): a loaded graph with `slots` rows of at most `context_length` tokens."""

    def __init__(self, folder: Path, config: GenaiConfig, *, slots: int, context_length: int, threads: int) -> None:
        """Raises UnusableModel for a graph that it cannot run."""
        self._session = open_session(folder / config.model_file, threads)
        self.vocabulary_size = check_graph(self._session, config, str(folder / config.model_file))
        shape = (slots, config.kv_heads, context_length, config.head_size)
        self._memory = {f"{layer}.{part}": lazy_zeros(shape) for layer in range(config.layers) for part in ("key", "value")}
        self._bindings: dict[tuple[int, int], onnxruntime.IOBinding] = {}

    def prefill(self, slot: int, tokens: Sequence[int], start: int) -> Logits:
        """Appends a chunk of a prompt to a slot that holds `start` tokens; returns the logits after its last token."""
        ids = np.asarray([tokens], dtype=np.int64)
        mask = np.ones((1, start + len(tokens)), dtype=np.int64)
        logits: Logits = self._run(slot, ids, mask)[0, -1]
        return logits

    def decode(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """One step of the first `len(tokens)` slots.

        tokens[i] becomes token number lengths[i] of slot i (lengths count it already). Returns logits, shape (slots, vocabulary).
        """
        mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
        return self._run(0, tokens[:, None], mask)[:, 0]

    def _run(self, first_slot: int, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        logits = np.empty((*ids.shape, self.vocabulary_size), dtype=np.float32)
        binding = self._binding(first_slot, len(ids))
        binding.bind_input("input_ids", "cpu", 0, np.int64, ids.shape, ids.ctypes.data)
        binding.bind_input("attention_mask", "cpu", 0, np.int64, mask.shape, mask.ctypes.data)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._session.run_with_iobinding(binding)
        return logits

    def _binding(self, first_slot: int, rows: int) -> onnxruntime.IOBinding:
        """The memory of these slots bound as past and present; cached, because a deep model has a hundred such names."""
        key = (first_slot, rows)
        if key not in self._bindings:
            binding = self._session.io_binding()
            for name, memory in self._memory.items():
                view = memory[first_slot : first_slot + rows]
                binding.bind_input(f"past_key_values.{name}", "cpu", 0, np.float32, view.shape, view.ctypes.data)
                binding.bind_output(f"present.{name}", "cpu", 0, np.float32, view.shape, view.ctypes.data)
            self._bindings[key] = binding
        return self._bindings[key]


def lazy_zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that take memory only where they are written, in small pages: unused context costs nothing."""
    memory = mmap.mmap(-1, math.prod(shape) * 4, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages refuses the advice
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype=np.float32).reshape(shape)


def check_graph(session: onnxruntime.InferenceSession, config: GenaiConfig, path: str) -> int:
    """The vocabulary's size. Raises UnusableModel unless the graph is a decoder with one key-value pair per layer, in fp32."""
    parts = [f"{layer}.{part}" for layer in range(config.layers) for part in ("key", "value")]
    expected = {"input_ids", "attention_mask", *(f"past_key_values.{part}" for part in parts)}
    found = {value.name: value for value in session.get_inputs()}
    if set(found) != expected:
        surprise = sorted(set(found) ^ expected)[0]
        raise UnusableModel(
            f"{path}: this engine runs decoder graphs of the onnxruntime-genai builder; input {surprise!r} is unexpected or missing"
        )
    wrong = next((value for value in found.values() if value.name.startswith("past") and value.type != "tensor(float)"), None)
    if wrong is not None:
        raise UnusableModel(f"{path}: {wrong.name} is {wrong.type}, and the CPU engine needs tensor(float); export with precision fp32")
    logits = next(value for value in session.get_outputs() if value.name == "logits")
    return int(logits.shape[-1])
