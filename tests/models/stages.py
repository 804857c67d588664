"""A tiny model's way through the stages, all in this process: prepare, train, publish, and one answer of the server."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from finetune_api.model_directory import Manifest
from finetune_api.run_config import RunConfig
from finetune_server.lifecycle import Lifecycle
from finetune_server.models.load import load_model
from finetune_server.program import http_server
from finetune_server.settings import parse_settings
from finetune_trainer.prepare.main import prepare
from finetune_trainer.publish.main import publish
from finetune_trainer.train.launch.exchange import Assignment
from finetune_trainer.train.launch.heartbeat import Heartbeat
from finetune_trainer.train.rank import Rank
from finetune_trainer.workspace.workspace import Workspace

NAME = "tiny"
WORDS = [
    "apple", "river", "stone", "cloud", "bread", "horse", "light", "music", "paper", "glass", "metal", "ocean", "grass", "sugar", "chair",
    "tiger",
]  # fmt: skip
TRAINED = 12
"""Of the words; the others are held out."""


def row(task: str, number: int, word: str) -> dict[str, Any]:
    """What is to be learned is nearly the same of every word, so that a few steps show it."""
    if task == "chat":
        return {"messages": [{"role": "user", "content": word}, {"role": "assistant", "content": "yes"}]}
    if task == "sequence-classification":
        return {"text": f"a {word}", "label": "thing" if number % 4 else "other"}
    return {"tokens": ["a", word], "tags": ["O", "B-THING" if number % 4 else "B-OTHER"]}


PROMPT, ANSWER = "hello you", 8
"""What the server is asked, and the tokens of its answer."""
ADAPTER = {"rank": 4, "alpha": 16}
METHODS: dict[str, dict[str, Any]] = {
    "lora": {"type": "lora", "lora": ADAPTER}, "qlora": {"type": "qlora", "lora": ADAPTER}, "full": {"type": "full"},
}  # fmt: skip
LEARNING_RATE = {"lora": 3e-3, "qlora": 3e-3, "full": 5e-4}


def run_config(base: Path, folder: Path, task: str, method: str, *, onnx: bool) -> RunConfig:
    """A short run on a handful of rows."""
    folder.mkdir(parents=True)
    rows = [json.dumps(row(task, number, word)) + "\n" for number, word in enumerate(WORDS)]
    (folder / "train.jsonl").write_text("".join(rows[:TRAINED]))
    (folder / "validation.jsonl").write_text("".join(rows[TRAINED:]))
    return RunConfig.model_validate(
        {
            "job": {"name": NAME, "specDigest": "digest"},
            "task": task,
            "base": {"source": {"uri": str(base)}},
            "dataset": {"train": {"uri": str(folder / "train.jsonl")}, "validation": {"uri": str(folder / "validation.jsonl")}},
            "method": METHODS[method],
            "hyperparameters": {"maxSteps": 4, "batchSize": 6, "precision": "fp32", "learningRate": LEARNING_RATE[method]},
            "export": {"onnx": {"parityPrompts": 2}} if onnx else {},
            "outputModel": NAME,
            "paths": {"workspace": str(folder / "workspace"), "model": str(folder / "model")},
        }
    )


def train_here(config: RunConfig) -> None:
    """The only rank of a world of one."""
    workspace = Workspace(config.paths.workspace)
    Rank(Assignment(config=config, attempt=1), Heartbeat(workspace.root / "beat"), lambda: False).run()


STAGES: dict[str, Callable[[RunConfig], object]] = {
    "prepare": lambda config: prepare(config, 1),
    "train": train_here,
    "publish": lambda config: publish(config, 1),
}
"""In their order."""


def manifest_of(config: RunConfig) -> Manifest:
    """What publish wrote."""
    return Manifest.from_json((Path(config.paths.model) / "MANIFEST.json").read_bytes())


def answer(config: RunConfig) -> Any:
    """The server's answer to one request, as JSON."""
    return asyncio.run(ask(config))


async def ask(config: RunConfig) -> Any:
    """Loads the published model into a server of this process and asks it."""
    settings = parse_settings(["--model-dir", config.paths.model, "--served-name", NAME, "--max-concurrency", "2", "--threads", "1"], {})
    lifecycle = Lifecycle()
    lifecycle.model = load_model(settings)
    transport = httpx.ASGITransport(http_server(lifecycle, settings).config.app)  # type: ignore[arg-type]
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("/v1/completions", {"prompt": PROMPT, "max_tokens": ANSWER, "temperature": 0}),
        "sequence-classification": ("/v1/classify", {"input": PROMPT}),
        "token-classification": ("/v1/token-classify", {"input": PROMPT}),
    }
    path, body = bodies[config.task]
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            response = await client.post(path, json={"model": NAME} | body)
        assert response.status_code == 200, response.text
        return response.json()
    finally:
        lifecycle.model.engine.close()
