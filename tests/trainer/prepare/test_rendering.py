"""Rendering and tokenising as transformers does it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from finetune_trainer.data.rows.types import Message
from finetune_trainer.data.tokens.template import ChatTemplate
from tests.unit.tokens import templates

SPECIAL = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
TEXTS = {name.lower(): text for name, text in vars(templates).items() if isinstance(text, str) and name.isupper()}
EXTRAS = {
    "tojson": "{{ messages | tojson }}{{ messages[0] | tojson(indent=2) }}",
    "loop controls": "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ m.role }}{% endfor %}",
    "blocks": "  {% if true %}\n  {{ bos_token }}\n  {% endif %}\n{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}",
    "undefined": "{{ tools is none }} {{ documents is none }} {{ custom is defined }} {{ pad_token is defined }} {{ unknown }}",
    "generation prompt": "{{ add_generation_prompt }}",
}


@pytest.fixture(scope="module")
def reference(assets: Path) -> Any:
    """SmolLM2's tokenizer as transformers loads it."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(assets / "smollm2-tiny" / "tokenizer.json"), **SPECIAL)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("text", [*TEXTS.values(), *EXTRAS.values()], ids=[*TEXTS, *EXTRAS])
def test_a_template_renders_as_in_transformers(reference: Any, assets: Path, text: str, prompt: bool) -> None:
    """The same text and the same ids, so that a model is trained on what it is later asked."""
    messages = [Message("user", "Who <b>are</b> you?"), Message("assistant", " Ça va, 日本\n"), Message("user", "2")]
    template = ChatTemplate(text, SPECIAL, datetime.now())
    plain = [{"role": message.role, "content": message.content} for message in messages]
    expected = reference.apply_chat_template(plain, chat_template=text, tokenize=False, add_generation_prompt=prompt)
    assert template.render(messages, add_generation_prompt=prompt) == expected
    ours = Tokenizer.from_file(str(assets / "smollm2-tiny" / "tokenizer.json")).encode(expected, add_special_tokens=False).ids
    ids = reference.apply_chat_template(plain, chat_template=text, add_generation_prompt=prompt, return_dict=False)
    assert ours == list(ids)
