"""Pairs of answers as others write them: OpenAI's preferred_output, TRL's prompt, chosen and rejected. All become three lists of messages.

The prompt may be a field of its own, or what both conversations begin with (TRL's implicit prompt).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.names import MessagePath, Names
from finetune_trainer.tasks.explain.problem import kind_of, listed, unknown_key
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields
from finetune_trainer.tasks.layouts.nulls import without_nulls

OPENAI_KEYS = ("input", "preferred_output", "non_preferred_output")
INPUT_KEYS = ("messages", "tools", "parallel_tool_calls")
OPENAI_NAMES = {
    "prompt": "input.messages",
    "chosen": "preferred_output",
    "rejected": "non_preferred_output",
    "tools": "input.tools",
    "parallel_tool_calls": "input.parallel_tool_calls",
}
PROMPT_NAMES = ("question", "instruction", "query", "input")
"""What public files call the prompt of chosen and rejected (Intel/orca_dpo_pairs: system, question)."""


def from_openai(row: Fields, context: Context) -> Fields:
    """OpenAI's: {"input": {"messages": [...], "tools": [...]}, "preferred_output": [...], "non_preferred_output": [...]}. Raises Wrong."""
    given = row.get("input")
    if not isinstance(given, dict) or "messages" not in given:
        what = f"input is {kind_of(given)}" if not isinstance(given, dict) else f"input has no key 'messages': its keys are {listed(given)}"
        raise Wrong([Problem("no input", f"{what if 'input' in row else 'has no input'}, expected an object with 'messages'")])
    wrong = [unknown_key(f"input.{key}", key, INPUT_KEYS, "input") for key in given if key not in INPUT_KEYS]
    if wrong:
        raise Wrong(wrong)
    rest = {key: value for key, value in row.items() if key not in OPENAI_KEYS}
    optional = {key: given[key] for key in INPUT_KEYS[1:] if given.get(key) is not None}
    answers = {"chosen": row.get("preferred_output"), "rejected": row.get("non_preferred_output")}
    return {**rest, **optional, "prompt": given["messages"], **answers}


@dataclass(frozen=True)
class Prompted:
    """The prompt by another name, and a system message beside it."""

    prompt: str

    def __call__(self, row: Fields, context: Context) -> Fields:
        """With a field `prompt`."""
        rest = {key: value for key, value in row.items() if key not in (self.prompt, "system")}
        prompt, system = row.get(self.prompt), row.get("system")
        if isinstance(system, str) and system.strip() and isinstance(prompt, str):
            prompt = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        return {**rest, "prompt": prompt}


def as_messages(row: Fields, names: Mapping[str, str], context: Context) -> Fields:
    """Prompt, chosen and rejected as lists of messages; the context knows where each message stands in the file. Raises Wrong."""
    prompt, chosen, rejected = (Part.of(row, field, names.get(field, field)) for field in ("prompt", "chosen", "rejected"))
    if (prompt is None and chosen and rejected) or (
        prompt and chosen and rejected and holds_prompt(chosen, prompt) and holds_prompt(rejected, prompt)
    ):
        prompt, chosen, rejected = without_prompt(chosen, rejected, names)
    wrong = [missing(field, names, row) for field, part in (("chosen", chosen), ("rejected", rejected)) if part is None]
    if wrong or prompt is None or chosen is None or rejected is None:
        raise Wrong(wrong)
    return with_parts(row, {"prompt": prompt, "chosen": chosen, "rejected": rejected}, names, context)


class Part(NamedTuple):
    """One of the three."""

    messages: Sequence[Any]
    places: Sequence[MessagePath]

    @classmethod
    def of(cls, row: Fields, field: str, name: str, before: int = 0) -> "Part | None":
        """A text is a message of the user, or of the assistant; None where the field is not there. `before`: messages of another part that
        come first under the same name. Raises Wrong."""
        value = row.get(field)
        if value is None and (field == "prompt" or field not in row):
            return None
        if isinstance(value, str):
            role = "user" if field == "prompt" else "assistant"
            return cls([{"role": role, "content": value}], [MessagePath(name, name)])
        if not isinstance(value, list) or not value:
            what = "is empty" if value == [] else f"is {kind_of(value)}"
            raise Wrong([Problem(f"no {field}", f"{name} {what}, expected a text or an array of messages")])
        return cls(value, [place(name, index, message) for index, message in enumerate(value, before)])

    def cut(self, first: int) -> "tuple[Part, Part]":
        """The messages before `first`, and the others."""
        return Part(self.messages[:first], self.places[:first]), Part(self.messages[first:], self.places[first:])


def with_parts(row: Fields, parts: "Mapping[str, Part]", names: Mapping[str, str], context: Context) -> Fields:
    """The row with these fields as lists of messages; the context knows where each message stands in the file."""
    *first, last = parts
    context.names = Names(
        f"{', '.join(first)} and {last}",
        places=tuple(place for part in parts.values() for place in part.places),
        functions=functions(row.get("tools"), names.get("tools", "tools")),
        function=".function",
    )
    whole = without_nulls({**row, "messages": [message for part in parts.values() for message in part.messages]}, context)
    messages = iter(whole.pop("messages"))
    return whole | {field: list(islice(messages, len(part.messages))) for field, part in parts.items()}


def place(name: str, index: int, message: Any) -> MessagePath:
    """Where a message of a list is."""
    path = f"{name}[{index}]"
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    count = len(calls) if isinstance(calls, list) else 0
    return MessagePath(path, f"{path}.content", tuple(f"{path}.tool_calls[{number}]" for number in range(count)))


def holds_prompt(answer: Part, prompt: Part) -> bool:
    """True for a whole conversation beside a prompt that says again what is in it (HuggingFaceH4/ultrafeedback_binarized)."""
    said = [message.get("content") for message in answer.messages[:-1] if isinstance(message, dict)]
    asked = prompt.messages[-1].get("content") if isinstance(prompt.messages[-1], dict) else None
    first = answer.messages[0]
    return isinstance(first, dict) and first.get("role") != "assistant" and asked is not None and asked in said


def without_prompt(chosen: Part, rejected: Part, names: Mapping[str, str]) -> tuple[Part, Part, Part]:
    """What both conversations begin with, and how they go on. Raises Wrong."""
    one, other = (names.get(field, field) for field in ("chosen", "rejected"))
    if len(chosen.messages) == 1 or len(rejected.messages) == 1:
        name = one if len(chosen.messages) == 1 else other
        says = f"has no prompt: {name} is an answer alone. Put the question into a field 'prompt', or before both answers as messages"
        raise Wrong([Problem("no prompt", says)])
    same = (left == right for left, right in zip(chosen.messages, rejected.messages, strict=False))
    shared = next((index for index, equal in enumerate(same) if not equal), min(len(chosen.messages), len(rejected.messages)))
    if shared == 0:
        raise Wrong([Problem("no prompt", f"{one} and {other} begin with different messages, expected the same prompt in both")])
    if shared == len(chosen.messages) == len(rejected.messages):
        raise Wrong([Problem("same answer", f"{one} and {other} are the same conversation: there is nothing to prefer")])
    if shared in (len(chosen.messages), len(rejected.messages)):  # one goes on where the other ends
        shared -= 1
    prompt, better = chosen.cut(shared)
    return prompt, better, rejected.cut(shared)[1]


def missing(field: str, names: Mapping[str, str], row: Fields) -> Problem:
    """An answer that is not there."""
    name = names.get(field, field)
    return Problem(f"no {field}", f"has no key {name!r}: its keys are {listed(row) or 'none'}")


def functions(tools: Any, name: str) -> tuple[str, ...]:
    """Where each tool's function is described."""
    count = len(tools) if isinstance(tools, list) else 0
    return tuple(f"{name}[{index}].function" for index in range(count))
