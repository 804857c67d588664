"""What is wrong with a message's content: a text, or parts that are texts. One rule of emptiness holds for all forms.

A content says nothing when it is null, no key at all, an empty list, or text without a visible character. Only an assistant's message
with calls, and a tool's, may say nothing.
"""

from collections.abc import Iterator
from typing import Any

from finetune_text.blank import BLANK
from finetune_trainer.tasks.explain.problem import Problem, character_problems, kind_of, nothing, shown, text_problems

TEXT_PARTS = ("text", "input_text", "output_text")
"""Types of parts that are text: those of the chat completions and of the responses API."""
_PART = '{"type": "text", "text": ...}'


def text_of(content: Any) -> str:
    """The text of a content that is right."""
    return "\n".join(part["text"] for part in content) if isinstance(content, list) else content or ""


def says_nothing(content: Any) -> bool:
    """True for a content that is right and has no visible character."""
    return not text_of(content).strip(BLANK)


def content_problems(path: str, message: dict[str, Any], messages_path: str) -> Iterator[Problem]:
    """What is wrong with the content of one message; `messages_path` is where the message is."""
    content, calls = message.get("content"), any(message.get(key) not in (None, []) for key in ("tool_calls", "function_call"))
    if isinstance(content, list):
        found = list(part_problems(path, content))
        if found:
            yield from found
            return
    if (content is None or isinstance(content, str | list)) and says_nothing(content):
        if (calls and message.get("role") == "assistant") or message.get("role") == "tool":
            return
        if "content" not in message:
            yield Problem("no content", f"{messages_path} has no {path.rpartition('.')[2]}, expected a string")
            return
    text = text_of(content) if isinstance(content, list) else content
    if isinstance(text, str) and not text.strip(BLANK):
        yield Problem("empty content", f"{path} is {nothing(text)}, expected text")
    else:
        yield from text_problems(path, text, missing="content is not text")


def part_problems(path: str, parts: list[Any]) -> Iterator[Problem]:
    """What is wrong with a content of parts: they must be texts."""
    for index, part in enumerate(parts):
        what = part.get("type") if isinstance(part, dict) else None
        if what is None and isinstance(part, dict) and isinstance(part.get("text"), str):
            what = "text"  # as Bedrock and Gemini write parts
        if what not in TEXT_PARTS:
            seen = f"of type {shown(what)}" if isinstance(part, dict) else kind_of(part)
            says = f"{path}[{index}] is {seen}, expected {_PART}: only text is supported, no images, audio or files"
            yield Problem("content is not text", says)
        elif not isinstance(part.get("text"), str):
            yield Problem("content is not text", f"{path}[{index}].text is {kind_of(part.get('text'))}, expected a string")
        elif extra := next((key for key, value in part.items() if key not in ("type", "text") and value not in (None, [], {})), None):
            says = f"{path}[{index}].{extra} is not a known key: a part has 'type' and 'text'; remove it"
            yield Problem("unknown key", says)
        else:
            yield from character_problems(f"{path}[{index}].text", part["text"])
