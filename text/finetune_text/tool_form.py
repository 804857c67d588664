"""What a chat template makes of tools: found out by rendering a conversation with a tool in it. Knows no tokens.

Templates differ: some take a call's arguments as an object and some as JSON text, some want a content of "" where a message
has none, many do not know tools at all.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finetune_text.blank import BLANK
from finetune_text.call_text import CLOSE, OPEN, called

MessageObject = Mapping[str, Any]
Render = Callable[[Sequence[MessageObject], Sequence[MessageObject] | None], str | None]
"""Messages and tools to text; None when the template does not take them."""

PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": "probe_weather",
        "description": "Probed.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
PROBE_CALL = {"function": {"name": "probe_weather", "arguments": '{"town": "Probetown"}'}, "id": "call00001", "type": "function"}
PROBE_CHAT: list[MessageObject] = [
    {"role": "user", "content": "How is the weather?"},
    {"role": "assistant", "content": None, "tool_calls": [PROBE_CALL]},
    {"role": "tool", "content": '{"degrees": 17171}', "name": "probe_weather", "tool_call_id": "call00001"},
    {"role": "assistant", "content": "It is warm."},
]
SHOWN = ("probe_weather", "Probetown", "17171", "It is warm.")


@dataclass(frozen=True)
class ToolForm:
    """How this template wants tools."""

    calls: Literal["ignored", "other", "hermes"]
    """How it writes calls: not at all, in a form that the server cannot read, or as `call_text` reads them."""
    arguments_as_text: bool = False
    empty_content: str | None = None
    """The content of a message that has none."""

    def message(self, message: MessageObject) -> MessageObject:
        """A message, its calls' arguments JSON text, as the template wants it."""
        content = spoken(message)
        message = {**message, "content": self.empty_content if content is None else content}
        if self.arguments_as_text or "tool_calls" not in message:
            return message
        return {**message, "tool_calls": [with_object(call) for call in message["tool_calls"]]}


def spoken(message: MessageObject) -> str | None:
    """What a message says. With calls, blank text counts as none, and white space before the calls is dropped, as in the server's answers.

    Clients send calls back with a content of null or "", and models write line ends before them.
    """
    content: str | None = message["content"]
    if content is None or not message.get("tool_calls"):
        return content
    return content.rstrip() if content.strip(BLANK) else None


def with_object(call: MessageObject) -> MessageObject:
    """A call with the arguments as an object."""
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}


def tool_form(render: Render) -> ToolForm:
    """The first form with which tools, calls and results are all in the text, and no Python value is."""
    for arguments_as_text, empty_content in ((False, None), (False, ""), (True, None), (True, "")):
        form = ToolForm("other", arguments_as_text, empty_content)
        text = shown(render, form)
        if text is not None:
            return ToolForm("hermes", arguments_as_text, empty_content) if holds_the_call(text) else form
    return ToolForm("ignored")


def shown(render: Render, form: ToolForm) -> str | None:
    """The probed conversation's text; None when a part of it is missing or is not written as text."""
    text = render([form.message(message) for message in PROBE_CHAT], [PROBE_TOOL])
    tools, without = render(PROBE_CHAT[:1], [PROBE_TOOL]), render(PROBE_CHAT[:1], None)
    if text is None or tools is None or without is None:
        return None
    readable = "{'" not in text and "None" not in text and '\\"town\\"' not in text
    rendered = tools != without and "probe_weather" in tools
    return text if readable and rendered and all(word in text for word in SHOWN) else None


def holds_the_call(text: str) -> bool:
    """True when the probed call can be read back."""
    bodies = re.findall(f"{OPEN}(.*?){CLOSE}", text, re.DOTALL)
    return any((found := called(body)) and (found.name, found.arguments) == ("probe_weather", {"town": "Probetown"}) for body in bodies)
