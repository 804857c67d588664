"""How a model of each task is called when it is deployed, and how it is loaded without a server. Knows no weights."""

import json
from dataclasses import dataclass
from typing import Any

from finetune_api.model_directory import Manifest
from finetune_trainer.tasks import LanguageTask, find_task
from finetune_trainer.tasks.learner import AUTO_CLASSES


@dataclass(frozen=True)
class Prompting:
    """How a language model was spoken to in training."""

    chat: bool
    """It has a chat template."""
    template: str | None = None
    """dataset.train.template.prompt."""


def calling(manifest: Manifest, prompting: Prompting) -> str:
    """A request to a ModelDeployment."""
    path, body, words = request(manifest.task, prompting)
    text = json.dumps({"model": manifest.model} | body, ensure_ascii=False).replace("'", "'\\''")
    return f"{words}\n\n```sh\ncurl $URL{path} -H 'Content-Type: application/json' -d '{text}'\n```"


def request(task: str, prompting: Prompting) -> tuple[str, dict[str, Any], str]:
    """Path, body, and what there is to know, for the task."""
    known = find_task(task)
    if known.learner != "language":
        return known.endpoint, {"input": ["A text to classify."]}, "`input` is a text or a list of texts; the answer names their labels."
    prompt, words = prompt_of(known, prompting)
    if known.prompting == "text" or (known.prompting == "chat or text" and not prompting.chat):
        return "/v1/completions", {"prompt": prompt, "max_tokens": 128}, words
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}, words


def prompt_of(task: LanguageTask, prompting: Prompting) -> tuple[str, str]:
    """A prompt as in training, and why it looks so."""
    if prompting.template is not None:
        return prompting.template, "The prompt must have the form of dataset.train.template, with its fields filled in:"
    return task.request(chat=prompting.chat)


def loading(manifest: Manifest) -> str:
    """A snippet per artifact."""
    loader = AUTO_CLASSES[find_task(manifest.task).learner]
    lines = ["```python", f"from transformers import {loader}, AutoTokenizer", ""]
    lines += [f'model = {loader}.from_pretrained("model")', 'tokenizer = AutoTokenizer.from_pretrained("model")']
    if any(artifact.format == "onnx" for artifact in manifest.artifacts):
        lines += ["", *onnx_lines(manifest.task)]
    return "\n".join([*lines, "```"])


def onnx_lines(task: str) -> list[str]:
    """Opens the ONNX model."""
    if find_task(task).learner != "language":
        return ["import onnxruntime", "", 'session = onnxruntime.InferenceSession("onnx/fp32/model.onnx")']
    return ["import onnxruntime_genai", "", 'model = onnxruntime_genai.Model("onnx/fp32")']
