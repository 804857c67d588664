"""Rows whose messages have a `name`: it goes to the chat template, and most templates do not write it."""

from finetune_text.chat_template import TemplateRefusal
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.tasks.conversation import Conversation, Message
from finetune_trainer.tasks.rows import Row

_PROBE = "Probename"


class MessageNames:
    """Counts such rows and keeps the first."""

    def __init__(self, template: ExampleTemplate | None) -> None:
        self._ignored = tuple(role for role in ("system", "user", "assistant") if template and not writes_name(template, role))
        self._rows = 0
        self._first = ""

    def saw(self, name: str, where: str, row: Row) -> None:
        """Looks at one row."""
        if not self._ignored or not isinstance(row, Conversation):
            return
        if any(message.name is not None and message.role in self._ignored for message in row.messages):
            self._rows += 1
            self._first = self._first or f"{name}, {where}"

    def notes(self) -> list[str]:
        """What is worth a look: nothing, or a sentence."""
        if not self._rows:
            return []
        rows = "1 row has" if self._rows == 1 else f"{self._rows:,} rows have"
        return [f"{rows} messages with a name (first: {self._first}), which the base's chat template does not write: it is not learned"]


def writes_name(template: ExampleTemplate, role: str) -> bool:
    """True when the template writes the names of messages of a role; also where it cannot be asked."""
    named, user = {role: _PROBE}, Message("user", "Hi", name=_PROBE if role == "user" else None)
    chat = [user, Message("assistant", "Hello", name=named.get("assistant"))]
    if role == "system":
        chat = [Message("system", "Be kind.", name=_PROBE), *chat]
    try:
        return _PROBE in template.render(chat)
    except TemplateRefusal:
        return True
