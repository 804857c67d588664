"""What the parts of a conversation are called in the file: findings speak of the row as it was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from finetune_trainer.tasks.explain.problem import shown


class MessagePath(NamedTuple):
    """Where one message stands in the row as it was written."""

    path: str
    """conversations[1], history[0][1], system."""
    content: str
    """conversations[1].value."""
    calls: tuple[str, ...] = ()
    """Where each of its calls is: conversations[2].value."""


@dataclass(frozen=True)
class Names:
    """The words of one row. The defaults are OpenAI's."""

    messages: str = "messages"
    role: str = "role"
    content: str = "content"
    roles: Mapping[str, str] = field(default_factory=dict)
    """Roles that the file has other words for."""
    places: tuple[MessagePath, ...] = ()
    """Of each message, where the file's list is not one message an entry."""
    shift: int = 0
    """1 where a key `system` of the row is the first message."""
    functions: tuple[str, ...] = ()
    """Of each tool, where its function is described, if not in tools[0].function."""
    function: str = ""
    """What comes after a call's path where its function has a level of its own, for a file with `places`."""
    turn: str = "a message of role"
    """How one says that a message of some role is expected."""
    calling: str = "an assistant's message with tool_calls"
    """What answers follow."""
    calls_are_turns: bool = False
    """True where a call stands in a turn of its own: the text before it is then of the same message."""

    def message(self, index: int) -> str:
        """messages[2], conversations[1], system."""
        if index < self.shift:
            return "system"
        return self.places[index].path if self.places else f"{self.messages}[{index - self.shift}]"

    def content_of(self, index: int) -> str:
        """messages[2].content, conversations[1].value."""
        if index < self.shift:
            return "system"
        return self.places[index].content if self.places else f"{self.message(index)}.{self.content}"

    def call(self, index: int, number: int) -> str:
        """messages[2].tool_calls[0], conversations[2].value."""
        return self.places[index].calls[number] if self.places else f"{self.message(index)}.tool_calls[{number}]"

    def function_of(self, index: int, number: int) -> str:
        """messages[2].tool_calls[0].function; the call itself where the file has no such level."""
        return self.call(index, number) + (self.function if self.places else ".function")

    def tool_function(self, index: int) -> str:
        """tools[0].function, tools[0]."""
        return self.functions[index] if self.functions else f"tools[{index}].function"

    def said(self, role: str) -> str:
        """A role in the file's words, in quotes."""
        return shown(self.roles.get(role, role))

    def expected(self, role: str) -> str:
        """A message of role 'tool', a turn from 'observation'."""
        return f"{self.turn} {self.said(role)}"


OPENAI = Names()
