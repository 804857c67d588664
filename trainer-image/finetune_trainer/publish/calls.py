"""How a model of each task is called when it is deployed, and how it is loaded without a server. Knows no weights."""

import json
from dataclasses import dataclass
from typing import Any

from finetune_api.model_directory import Manifest
from finetune_text.instructions import SUMMARIZE, SUMMARY_CUE

LOADERS = {
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
}
CLASSIFY = {"sequence-classification": "/v1/classify", "token-classification": "/v1/token-classify"}


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
    if task in CLASSIFY:
        return CLASSIFY[task], {"input": ["A text to classify."]}, "`input` is a text or a list of texts; the answer names their labels."
    prompt, words = prompt_of(task, prompting)
    if task == "completion" or (task == "summarization" and not prompting.chat):
        return "/v1/completions", {"prompt": prompt, "max_tokens": 128}, words
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}, words


def prompt_of(task: str, prompting: Prompting) -> tuple[str, str]:
    """A prompt as in training, and why it looks so."""
    if prompting.template is not None:
        return prompting.template, "The prompt must have the form of dataset.train.template, with its fields filled in:"
    if task == "summarization" and prompting.chat:
        return f"{SUMMARIZE}<the text>", "The document follows the words that the model was trained with:"
    if task == "summarization":
        return f"<the text>{SUMMARY_CUE}", "The document is followed by the word that the model was trained with:"
    if task == "completion":
        return "<the prompt>", "The prompt is passed to the model unchanged, without a chat template:"
    return "Hello!", "As any chat model:"


def loading(manifest: Manifest) -> str:
    """A snippet per artifact."""
    loader = LOADERS.get(manifest.task, "AutoModelForCausalLM")
    lines = ["```python", f"from transformers import {loader}, AutoTokenizer", ""]
    lines += [f'model = {loader}.from_pretrained("model")', 'tokenizer = AutoTokenizer.from_pretrained("model")']
    if any(artifact.format == "onnx" for artifact in manifest.artifacts):
        lines += ["", *onnx_lines(manifest.task)]
    return "\n".join([*lines, "```"])


def onnx_lines(task: str) -> list[str]:
    """Opens the ONNX model."""
    if task in LOADERS:
        return ["import onnxruntime", "", 'session = onnxruntime.InferenceSession("onnx/fp32/model.onnx")']
    return ["import onnxruntime_genai", "", 'model = onnxruntime_genai.Model("onnx/fp32")']
