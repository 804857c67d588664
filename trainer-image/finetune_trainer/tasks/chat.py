"""Task chat: {"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}, as OpenAI's API has them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from finetune_trainer.tasks.conversation import Conversation, conversation, said
from finetune_trainer.tasks.explain import Problem
from finetune_trainer.tasks.explain.chat import chat_problems
from finetune_trainer.tasks.explain.names import OPENAI, Names
from finetune_trainer.tasks.layouts import sharegpt
from finetune_trainer.tasks.layouts.alpaca import instructions
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import PAIR, PAIR_HINTS, Fields, Hint, Records, is_messages
from finetune_trainer.tasks.layouts.message_lists import SCHEMA_VERSION, prompt_and_completion, system_first
from finetune_trainer.tasks.layouts.nulls import without_nulls
from finetune_trainer.tasks.layouts.steps import Known, as_chat
from finetune_trainer.tasks.learner import LanguageTask
from finetune_trainer.tasks.plain_chat import PlainChats
from finetune_trainer.tasks.task import RowLayout


class ChatTask(LanguageTask):
    """Conversations, of which the assistant's messages are learned."""

    name = "chat"
    title = "OpenAI chat"
    fields = ("messages", "tools", "parallel_tool_calls")
    optional = ("tools", "parallel_tool_calls")
    example = {"messages": [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]}
    aliases = ({"prompt": "prompt", "completion": "completion"},)
    signs = {
        frozenset({"messages"}): "chat rows (messages)",
        frozenset({"conversations"}): "ShareGPT chat rows (conversations)",
        frozenset({"instruction", "output"}): "Alpaca rows (instruction and output)",
    }
    json_fields = ("messages", "tools", "parallel_tool_calls", "conversations")
    hints = {
        "messages": Hint(("messages", "conversation", "dialog", "dialogue", "chat", "turns"), "a list of messages", is_messages),
        **PAIR_HINTS,
    }
    also = ", or 'prompt' and 'completion'"
    pair = (as_chat,)
    pair_columns = True
    prompting = "chat"
    tools = True

    def own(self, keys: Sequence[str], known: Sequence[str]) -> Known:
        """A system message may stand apart from the other messages."""
        if not any(key in keys and key not in known for key in ("system", SCHEMA_VERSION)):
            return Known(self.title)
        return Known(f"{self.title}, system apart", steps=(system_first,), used=frozenset({"system"}))

    def foreign(self, keys: Sequence[str], first: Records, *, signed: bool) -> Known | None:
        """ShareGPT, Alpaca, Dolly, and TRL's prompt and completion."""
        if "conversations" in keys:
            turns = next((row["conversations"] for row in first if row.get("conversations")), None)
            if isinstance(turns, list) and isinstance(turns[0], dict) and "role" in turns[0] and "from" not in turns[0]:
                return Known(columns={"messages": "conversations"})
            return Known("ShareGPT", steps=(sharegpt.openai_row,), used=frozenset({"conversations", "system", "tools"}))
        if known := instructions(keys, as_chat=True):
            return known
        if set(PAIR) <= set(keys) and any(is_messages(row.get(key)) for row in first for key in PAIR):
            used = frozenset((*PAIR, *self.fields))
            return Known("prompt and completion as messages", steps=(prompt_and_completion,), used=used, strict=True)
        return super().foreign(keys, first, signed=signed)

    def named(self, columns: Mapping[str, str]) -> tuple[str, Names]:
        return self.title, replace(OPENAI, messages=columns.get("messages", "messages"))

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        return chat_problems(fields, layout.extra, names)

    def tidied(self, fields: Fields, context: Context) -> Fields:
        """Without the nulls of tables."""
        return without_nulls(fields, context)

    def build(self, fields: Fields, context: Context) -> Conversation:
        return conversation(fields, context)

    def plain(self, layout: RowLayout) -> PlainChats:
        return PlainChats()

    def conversation(self, row: Conversation, *, instructed: bool = False) -> Conversation:
        return row

    def request(self, *, chat: bool) -> tuple[str, str]:
        return "Hello!", "As any chat model:"

    def text(self, row: Conversation) -> str:
        """What was said; not system messages and tools, which many rows share."""
        return said(row.messages)

    def turns(self, row: Conversation) -> int:
        return len(row.messages)
