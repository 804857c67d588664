"""What templates make of tools, and what takes the place of those that ignore them."""

from datetime import datetime

import pytest

from finetune_text.chat_template import ChatTemplate, TemplateRefusal
from finetune_text.markers import Markers
from finetune_text.standard_templates import PLAIN, chatml_with_tools, is_chatml
from finetune_trainer.data.tokens.spans import by_difference
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.tasks.conversation import Conversation, Function, FunctionCall, Message, Tool, ToolCall
from tests.unit.data.tokens import templates

TOOL = Tool(Function("find", "Finds.", {"type": "object", "properties": {"text": {"type": "string"}}}))
CALLS = [ToolCall(FunctionCall("find", '{"text": "Käse & <b>"}'), id="1"), ToolCall(FunctionCall("find", '{"text": "x"}'), id="2")]
CHAT = [
    Message("user", "Find both."),
    Message("assistant", None, tool_calls=CALLS),
    Message("tool", "one", tool_call_id="1"),
    Message("tool", "two", tool_call_id="2"),
    Message("assistant", "Here."),
]

HEAD = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.content or '' }}"
TAIL = "{% endfor %}{% endfor %}"
FORMS = {
    "object": (HEAD + "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}" + TAIL, False, None),
    "text": (HEAD + "{% for c in m.tool_calls or [] %}{{ c.function.name + c.function.arguments }}" + TAIL, True, None),
    "content": (HEAD + "{{ m.content + '' }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}" + TAIL, False, ""),
}
"""Template -> whether it wants arguments as JSON text, and the content of a message without one."""


def compiled(text: str) -> ChatTemplate:
    """A template at a fixed moment."""
    return ChatTemplate(text, {"bos_token": "<s>", "eos_token": "</s>"}, clock=lambda: datetime(2026, 2, 1))


@pytest.mark.parametrize("form", FORMS)
def test_a_template_gets_calls_in_the_form_that_it_takes(form: str) -> None:
    """Arguments are objects where a template takes them, as transformers and vLLM pass them, and JSON text where it does not."""
    text, as_text, empty = FORMS[form]
    found = compiled(text).tools
    assert (found.calls, found.arguments_as_text, found.empty_content) == ("other", as_text, empty)


STRICT = "{% for m in messages %}[{{ m.content if m.content is not none else '-' }}]{% for c in m.tool_calls or [] %}{{ c.function.name }}"


@pytest.mark.parametrize("text", [*(text for text, _, _ in FORMS.values()), STRICT + TAIL])
@pytest.mark.parametrize(
    "content, same",
    [("", None), ("\n", None), (" \u200b\n", None), ("Let me look.\n\n", "Let me look."), (" Let me look.", " Let me look.")],
)
def test_a_turn_that_calls_is_asked_as_it_was_trained(text: str, content: str, same: str | None) -> None:
    """Rows have no content beside calls where clients send "" and models write line ends; the server leaves these out of answers, too."""
    template = compiled(text)
    call = {"function": {"name": "find", "arguments": "{}"}, "id": "1", "type": "function"}
    prompts = [template.prompt([{"role": "assistant", "content": said, "tool_calls": [call]}]) for said in (content, same)]
    assert prompts[0] == prompts[1]
    assert "find" in prompts[0]


def test_a_turn_without_calls_keeps_its_white_space() -> None:
    """It may be what was said."""
    assert compiled(STRICT + TAIL).prompt([{"role": "assistant", "content": "Yes.\n"}]) == "[Yes.\n]"


@pytest.mark.parametrize(
    "text", [templates.CHATML, templates.SMOLLM2, templates.LLAMA3, templates.GEMMA, templates.MISTRAL, templates.ZEPHYR]
)
def test_a_template_that_ignores_tools_is_known(text: str) -> None:
    """A model that never sees its tools cannot learn to call them."""
    assert compiled(text).tools.calls == "ignored"


@pytest.mark.parametrize(
    "row, expected",
    [
        (Conversation(CHAT, [TOOL]), True),
        (Conversation(CHAT), True),
        (Conversation(CHAT[:1] + CHAT[-1:], [TOOL]), True),
        (Conversation(CHAT[:1] + CHAT[-1:]), False),
    ],
)
def test_rows_with_tools_are_known(row: Conversation, expected: bool) -> None:
    """Tools, calls or results."""
    assert row.uses_tools == expected


@pytest.mark.parametrize(
    "text, tokens, expected",
    [
        (templates.CHATML, ["<|im_start|>", "<|im_end|>"], True),
        (templates.CHATML, ["<|im_end|>"], False),
        (templates.LLAMA3, ["<|im_start|>", "<|im_end|>"], False),
        ("{{ raise_exception('no') }}", ["<|im_start|>", "<|im_end|>"], False),
    ],
)
def test_chatml_is_known_by_its_text_and_the_vocabulary(text: str, tokens: list[str], expected: bool) -> None:
    """Only there its markers are tokens."""
    assert is_chatml(compiled(text), tokens) == expected


def test_the_replacement_tells_tools_calls_and_results() -> None:
    """In the form of Hermes and Qwen2.5: tools in the system message, calls and results between tags."""
    own = compiled(chatml_with_tools(compiled(templates.CHATML)))
    assert own.tools.calls == "hermes"
    template = ExampleTemplate(own)
    text = template.render([Message("system", "Be kind."), *CHAT], [TOOL])
    assert text.startswith("<|im_start|>system\nBe kind.\n\n# Tools\n")
    assert '<tools>\n{"type": "function", "function": {"name": "find", "description": "Finds."' in text
    assert text.endswith(
        "<|im_start|>assistant\n"
        '<tool_call>\n{"name": "find", "arguments": {"text": "Käse & <b>"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "find", "arguments": {"text": "x"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\nHere.<|im_end|>\n"
    )
    whole, spans = by_difference(template, Conversation(CHAT, [TOOL]), Markers(("<|im_end|>",)))
    assert [whole[span.start : span.end].count("<tool_call>") for span in spans] == [2, 0]


@pytest.mark.parametrize("text", [templates.CHATML, templates.SMOLLM2, "{{ bos_token }}" + templates.SMOLLM2])
def test_without_tools_the_replacement_writes_what_the_template_wrote(text: str) -> None:
    """With the same system message where the row has none."""
    base = compiled(text)
    own = ExampleTemplate(compiled(chatml_with_tools(base)))
    plain = [Message("user", "Hi"), Message("assistant", "Hello")]
    for messages in (plain, [Message("system", 'Say "yes"\\n.'), *plain]):
        for prompt in (True, False):
            assert own.render(messages, add_generation_prompt=prompt) == ExampleTemplate(base).render(
                messages, add_generation_prompt=prompt
            )


def test_the_default_template() -> None:
    """For a base without one: a line that says who speaks, and the end-of-text token after an answer."""
    template = ExampleTemplate(compiled(PLAIN))
    chat = [Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Hello")]
    assert template.render(chat) == "<s>Be kind.\n\nUser:\nHi\n\nAssistant:\nHello</s>\n\n"
    assert template.render(chat[:2], add_generation_prompt=True) == "<s>Be kind.\n\nUser:\nHi\n\nAssistant:\n"
    with pytest.raises(TemplateRefusal, match="has no turn for the role tool"):
        template.render(CHAT[2:])
