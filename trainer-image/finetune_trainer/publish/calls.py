"""How a model of each task is called when it is deployed, and how it is loaded without a server."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_api.model_directory import ModelDescription
from finetune_api.run_config import RunConfig
from finetune_text.tokenizer_files import TEMPLATE_FILE
from finetune_trainer.artifacts import ARTIFACTS
from finetune_trainer.tasks import LanguageTask, find_task
from finetune_trainer.tasks.learner import AUTO_CLASSES


@dataclass(frozen=True)
class Prompting:
    """How a language model was prompted in training."""

    chat: bool
    """It has a chat template."""
    template: str | None = None
    """dataset.train.template.prompt."""


def prompting_of(config: RunConfig, model: Path) -> Prompting:
    """How the rows prompted the model of this folder."""
    template = config.dataset.train.template
    return Prompting(chat=(model / TEMPLATE_FILE).exists(), template=template.prompt if template else None)


def calling(manifest: ModelDescription, prompting: Prompting) -> str:
    """A request to a ModelDeployment."""
    path, body, sentence = request(manifest.task, prompting)
    text = json.dumps({"model": manifest.model} | body, ensure_ascii=False).replace("'", "'\\''")
    return f"{sentence}\n\n```sh\ncurl $URL{path} -H 'Content-Type: application/json' -d '{text}'\n```"


def request(task: str, prompting: Prompting) -> tuple[str, dict[str, Any], str]:
    """Path, body, and a sentence on its content, for the task."""
    known = find_task(task)
    if known.learner == "embedding":
        sentence = "`input` is a text or a list of texts; the answer has a vector of length 1 for each."
        return known.endpoint, {"input": ["A text to embed."]}, sentence
    if known.learner != "language":
        return known.endpoint, {"input": ["A text to classify."]}, "`input` is a text or a list of texts; the answer names their labels."
    prompt, sentence = prompt_of(known, prompting)
    if known.prompting == "text" or (known.prompting == "chat or text" and not prompting.chat):
        return "/v1/completions", {"prompt": prompt, "max_tokens": 128}, sentence
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}, sentence


def prompt_of(task: LanguageTask, prompting: Prompting) -> tuple[str, str]:
    """A prompt as in training, and why it looks so."""
    if prompting.template is not None:
        return prompting.template, "The prompt must have the form of dataset.train.template, with its fields filled in:"
    return task.request(chat=prompting.chat)


def loading(manifest: ModelDescription) -> str:
    """Python that loads each artifact."""
    learner = find_task(manifest.task).learner
    loader = AUTO_CLASSES[learner]
    lines = ["```python"]
    if learner == "embedding":
        lines += ["from sentence_transformers import SentenceTransformer", "", 'model = SentenceTransformer("model")']
    else:
        lines += [f"from transformers import {loader}, AutoTokenizer", "", f'model = {loader}.from_pretrained("model")']
        lines += ['tokenizer = AutoTokenizer.from_pretrained("model")']
    for artifact in manifest.artifacts:
        if own := ARTIFACTS[artifact.format].loading(manifest.task):
            lines += ["", *own]
    return "\n".join([*lines, "```"])
