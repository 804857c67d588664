"""Rendering and tokenising as transformers does it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from finetune_text.chat_template import ChatTemplate
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.tasks.conversation import Function, FunctionCall, Message, Tool, ToolCall
from tests.trainer.prepare.public_templates import public_templates
from tests.unit.data.tokens import templates

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

    return PreTrainedTokenizerFast(tokenizer_file=str(assets / "smollm2-5m" / "tokenizer.json"), **SPECIAL)  # type: ignore[no-untyped-call]


PARAMETERS = {"type": "object", "properties": {"town": {"type": "string", "description": "Ort <b>"}}, "required": ["town"]}
ARGUMENTS = '{"town": "Köln", "days": [1, 2], "exact": false}'
WEATHER = Tool(Function("weather", "How it is.", PARAMETERS))
CALL = ToolCall(FunctionCall("weather", ARGUMENTS), id="call00001")
CHAT = [
    Message("user", "How is it?"),
    Message("assistant", None, tool_calls=[CALL]),
    Message("tool", "warm", tool_call_id="call00001"),
    Message("assistant", "It is warm."),
    Message("user", "And now?"),
]


def plain_chat(arguments: Any, empty: str | None) -> list[dict[str, Any]]:
    """CHAT as a client of OpenAI's API or of transformers writes it."""
    call = {"function": {"name": "weather", "arguments": arguments}, "id": "call00001", "type": "function"}
    return [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": empty, "tool_calls": [call]},
        {"role": "tool", "content": "warm", "tool_call_id": "call00001"},
        {"role": "assistant", "content": "It is warm."},
        {"role": "user", "content": "And now?"},
    ]


def test_tools_and_calls_are_rendered_as_by_transformers_and_by_the_server(reference: Any, assets: Path) -> None:
    """Every public template that knows tools: the model is asked in the words that it was trained on."""
    tools = [{"type": "function", "function": {"name": "weather", "description": "How it is.", "parameters": PARAMETERS}}]
    checked = 0
    for text in public_templates(assets.parent / "test-packages").values():
        template = ChatTemplate(text, SPECIAL)
        form = template.tools
        if form.calls != "ignored" and "strftime_now" not in text:
            arguments = ARGUMENTS if form.arguments_as_text else json.loads(ARGUMENTS)
            expected = reference.apply_chat_template(
                plain_chat(arguments, form.empty_content), tools=tools, chat_template=text, tokenize=False, add_generation_prompt=True
            )
            assert ExampleTemplate(template).render(CHAT, [WEATHER], add_generation_prompt=True) == expected
            assert template.prompt(plain_chat(ARGUMENTS, None), tools) == expected
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("text", [*TEXTS.values(), *EXTRAS.values()], ids=[*TEXTS, *EXTRAS])
def test_a_template_renders_as_in_transformers(reference: Any, assets: Path, text: str, prompt: bool) -> None:
    """The same text and the same ids, so that a model is trained on what it is later asked."""
    messages = [Message("user", "Who <b>are</b> you?"), Message("assistant", " Ça va, 日本\n"), Message("user", "2")]
    template = ExampleTemplate(ChatTemplate(text, SPECIAL))
    plain = [{"role": message.role, "content": message.content} for message in messages]
    expected = reference.apply_chat_template(plain, chat_template=text, tokenize=False, add_generation_prompt=prompt)
    assert template.render(messages, add_generation_prompt=prompt) == expected
    ours = Tokenizer.from_file(str(assets / "smollm2-5m" / "tokenizer.json")).encode(expected, add_special_tokens=False).ids
    ids = reference.apply_chat_template(plain, chat_template=text, add_generation_prompt=prompt, return_dict=False)
    assert ours == list(ids)
