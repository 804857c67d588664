"""Greedy decoding, and an exported ONNX model (in the layout of onnxruntime-genai) as a decoder on plain onnxruntime."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from finetune_trainer.artifacts.onnx.session import open_session

Logits = npt.NDArray[np.float32]
Decoder = Callable[[list[int]], Logits]
"""Takes the tokens that follow those of the earlier calls; returns the logits (vocabulary,) after the last of them."""


def answer_greedily(decoder: Decoder, prompt: list[int], limit: int, end_tokens: list[int]) -> list[int]:
    """The most likely token after another, at most `limit` of them; an end token is the answer's last."""
    tokens = [int(decoder(prompt).argmax())]
    while len(tokens) < limit and tokens[-1] not in end_tokens:
        tokens.append(int(decoder(tokens[-1:]).argmax()))
    return tokens


class OnnxModel:
    """A session and the names and shapes that genai_config.json gives for it."""

    def __init__(self, folder: Path) -> None:
        decoder = json.loads((folder / "genai_config.json").read_bytes())["model"]["decoder"]
        self.session = open_session(folder / decoder["filename"])
        self.input_names = {value.name for value in self.session.get_inputs()}
        layers = range(decoder["num_hidden_layers"])
        kinds = ("key", "value")
        self.past = [decoder["inputs"][f"past_{kind}_names"] % layer for layer in layers for kind in kinds]
        self.present = [decoder["outputs"][f"present_{kind}_names"] % layer for layer in layers for kind in kinds]
        self.other_inputs = sorted(self.input_names - {"input_ids", "attention_mask", *self.past})
        """What the server does not give: it knows tokens, a mask, and a key and a value for each layer."""
        self.no_past = np.zeros((1, decoder["num_key_value_heads"], 0, decoder["head_size"]), np.float32)


def onnx_decoder(model: OnnxModel) -> Decoder:
    """A decoder of one sequence; it keeps the keys and values of the tokens that it has seen."""
    cache: list[Any] = [model.no_past] * len(model.past)
    seen = 0

    def decode(tokens: list[int]) -> Logits:
        nonlocal cache, seen
        feed = dict(zip(model.past, cache, strict=True))
        feed["input_ids"] = np.array([tokens], np.int64)
        feed["attention_mask"] = np.ones((1, seen + len(tokens)), np.int64)
        if "position_ids" in model.input_names:
            feed["position_ids"] = np.arange(seen, seen + len(tokens), dtype=np.int64)[None]
        logits, *cache = model.session.run(["logits", *model.present], feed)
        seen += len(tokens)
        last: Logits = logits[0, -1]
        return last

    return decode
