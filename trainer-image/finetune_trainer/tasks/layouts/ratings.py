"""Rated answers as others write them: TRL's prompt, completion and label, or a conversation and a label. All become two lists of messages
and a label."""

from collections.abc import Mapping
from dataclasses import dataclass

from finetune_trainer.tasks.explain import Problem, Wrong
from finetune_trainer.tasks.explain.problem import kind_of
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields
from finetune_trainer.tasks.layouts.preferences import Part, missing, with_parts

ANSWERED = "expected an answer of the assistant after the last message of the user"


@dataclass(frozen=True)
class FromConversation:
    """{"messages": [...], "label": true}: the answer is what comes after the user's last message."""

    name: str = "messages"
    """What the file calls the messages."""

    @property
    def names(self) -> dict[str, str]:
        """What the parts are called: both are in one field."""
        return {"prompt": self.name, "completion": self.name}

    def __call__(self, row: Fields, context: Context) -> Fields:
        """With a prompt and a completion. Raises Wrong."""
        rest, messages = {key: value for key, value in row.items() if key != "messages"}, row.get("messages")
        if not isinstance(messages, list):
            what = f"{self.name} is {kind_of(messages)}" if "messages" in row else f"has no key {self.name!r}"
            raise Wrong([Problem(f"no {self.name}", f"{what}, expected an array of messages")])
        asked = [number for number, message in enumerate(messages, 1) if isinstance(message, dict) and message.get("role") == "user"]
        if not asked or asked[-1] == len(messages):
            what = "ends with a message of the user" if asked else "has no message of the user"
            raise Wrong([Problem("no answer", f"{self.name} {what}, {ANSWERED}")])
        return {**rest, "prompt": messages[: asked[-1]], "completion": messages[asked[-1] :]}


def in_one_field(names: Mapping[str, str]) -> bool:
    """True where the prompt and the completion come from one conversation."""
    return "prompt" in names and names["prompt"] == names.get("completion")


def prompt_and_answer(row: Fields, names: Mapping[str, str], context: Context) -> Fields:
    """Prompt and completion as lists of messages; the context knows where each message stands in the file. Raises Wrong."""
    prompt = Part.of(row, "prompt", names.get("prompt", "prompt"))
    before = len(prompt.messages) if prompt and in_one_field(names) else 0
    parts = {"prompt": prompt, "completion": Part.of(row, "completion", names.get("completion", "completion"), before)}
    if wrong := [missing(field, names, row) for field, part in parts.items() if part is None]:
        raise Wrong(wrong)
    return with_parts(row, {field: part for field, part in parts.items() if part is not None}, names, context)
