"""Prompts with tools are what the trainer makes of the same conversations, whatever the template."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as RustTokenizer

from finetune_server.generation.tokenizer import Tokenizer
from finetune_server.generation.tool_calls import MARKERS
from finetune_server.http.schemas.chat import ChatBody
from finetune_text.chat_template import ChatTemplate
from finetune_text.prompt_tokenizer import PromptTokenizer
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.tasks import conversation as types
from tests.server.generation.tool_chats import ONE, RESULTS, STRANGE, TOOLS, TWO, again

pytestmark = pytest.mark.server

QWEN = """{%- if tools %}{{ '<tools>' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ '</tools>' }}{% endif %}
{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.content %}{{ m.content }}{% endif %}
{%- for call in m.tool_calls or [] %}{% if call.function %}{% set call = call.function %}{% endif %}
{{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' + (call.arguments | tojson) + '}\\n</tool_call>' }}{% endfor %}
{{- '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
WHOLE = "{{ tools | tojson }}{{ messages | tojson }}"
TEXT = """{{ tools | tojson if tools else '' }}{% for m in messages %}{{ m.role + ': ' + m.content }}{% for c in m.tool_calls or [] %}
{{- '<tool_call>{"name": "' + c.function.name + '", "arguments": ' + c.function.arguments + '}</tool_call>' }}
{%- endfor %}{% endfor %}"""
LLAMA = """{{ tools | tojson if tools else '' }}{% for m in messages %}[{{ m.role }}]{{ m.content or '' }}
{%- for call in m.tool_calls or [] %}{{- call.function | tojson }}{% endfor %}{% endfor %}"""
IGNORANT = "{% for m in messages %}{{ m.role + ': ' + (m.content or '') }}{% endfor %}"

FORMS = [
    (QWEN, "hermes", False, None),
    (TEXT, "hermes", True, ""),
    (LLAMA, "other", False, None),
    (WHOLE, "other", False, None),
    (IGNORANT, "ignored", False, None),
    ("{{ messages[0].content.nothing() }}", "ignored", False, None),
]
NAMES = ["Qwen", "arguments as text", "Llama", "everything as JSON", "ignorant", "failing"]


@pytest.mark.parametrize("source, calls, as_text, empty", FORMS, ids=NAMES)
def test_forms(source: str, calls: str, as_text: bool, empty: str | None) -> None:
    """What a template makes of tools is found out."""
    found = ChatTemplate(source, {}).tools
    assert (found.calls, found.arguments_as_text, found.empty_content) == (calls, as_text, empty)


def their_message(message: dict[str, Any]) -> types.Message:
    """The trainer's row of a message."""
    calls = [types.ToolCall(types.FunctionCall(**call["function"]), id=call["id"]) for call in message.get("tool_calls") or []]
    role: types.Role = "system" if message["role"] == "developer" else message["role"]
    return types.Message(
        role, message["content"], name=message.get("name"), tool_calls=calls or None, tool_call_id=message.get("tool_call_id")
    )


ODD_TOOL = {
    "type": "function",
    "function": {
        "parameters": {"type": "object", "$defs": {"é<": None}, "properties": {}, "additionalProperties": False},
        "description": 'Says "hé" & <more>.',
        "name": "odd",
        "strict": False,
    },
}
CONVERSATIONS: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = [
    (ONE, TOOLS),
    (TWO, [*TOOLS, ODD_TOOL]),
    (again(RESULTS), TOOLS),
    ([{"role": "developer", "content": "Be kind."}, *STRANGE[1:]], [ODD_TOOL]),
    ([{"role": "user", "name": "ann", "content": "Hi"}], []),
]


@pytest.mark.parametrize("source", [QWEN, TEXT, LLAMA, WHOLE, ""], ids=["Qwen", "arguments as text", "Llama", "JSON", "the trainer's own"])
def test_the_trainers_prompts(source: str, tool_hf_model: Path) -> None:
    """Both render the same text, character by character: keys, their order, arguments and missing contents."""
    source = source or (tool_hf_model / "chat_template.jinja").read_text()
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    ours = ChatTemplate(source, special)
    theirs = ExampleTemplate(ours)
    for messages, tools in CONVERSATIONS:
        prompt = messages[:-1] if messages[-1]["role"] == "assistant" else messages
        for chat in (prompt, messages):
            body = ChatBody.model_validate({"model": "m", "messages": chat, "tools": tools})
            rows = [their_message(message) for message in chat]
            functions = [types.Tool(types.Function(**tool["function"])) for tool in tools]
            rendered = ours.prompt([message.for_template() for message in body.messages], [tool.for_template() for tool in body.offered])
            assert rendered == theirs.render(rows, functions, add_generation_prompt=True)


def test_markers_stay_in_the_text(tool_hf_model: Path) -> None:
    """Special tokens are left out of a text, but for the markers of calls where they are asked for, token by token as at once."""
    rust = RustTokenizer.from_file(str(tool_hf_model / "tokenizer.json"))
    tokenizer = Tokenizer(rust)
    ids = PromptTokenizer(rust).chat("für <tool_call>\n{}</tool_call><|im_end|> 😀")
    for kept, expected in (((), "für \n{} 😀"), (MARKERS, "für <tool_call>\n{}</tool_call> 😀")):
        detokenizer = tokenizer.detokenizer(kept)
        assert "".join(detokenizer.push(token) for token in ids) + detokenizer.flush() == tokenizer.decode(ids, kept) == expected
