"""Task summarization: {"document": ..., "summary": ...}."""

from collections.abc import Iterator

import msgspec

from finetune_text.instructions import SUMMARIZE, SUMMARY_CUE
from finetune_trainer.tasks.conversation import Conversation, Message
from finetune_trainer.tasks.explain import Problem
from finetune_trainer.tasks.explain.names import Names
from finetune_trainer.tasks.explain.texts import text_pair_problems
from finetune_trainer.tasks.layouts.context import Context
from finetune_trainer.tasks.layouts.forms import Fields, Hint
from finetune_trainer.tasks.layouts.steps import as_summary
from finetune_trainer.tasks.learner import LanguageTask
from finetune_trainer.tasks.plain import PlainLines, pairs
from finetune_trainer.tasks.task import RowLayout


class Summary(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A row. With a template `document` is the rendered prompt, which is the whole user message then."""

    document: str
    summary: str


class SummarizationTask(LanguageTask):
    """The user gives a document, the assistant its summary; without a chat template a cue stands between the two."""

    name = "summarization"
    title = "document/summary"
    fields = ("document", "summary")
    example = {"document": "The council met on Monday and approved the new bridge.", "summary": "Council approves bridge."}
    aliases = (
        {"document": "article", "summary": "highlights"},
        {"document": "dialogue", "summary": "summary"},
        {"document": "article", "summary": "summary"},
        {"document": "text", "summary": "summary"},
    )
    signs = {frozenset({"document", "summary"}): "rows of document and summary"}
    hints = {
        "document": Hint(("document", "article", "text", "content", "body", "passage", "dialogue", "input", "source")),
        "summary": Hint(("summary", "highlights", "abstract", "tldr", "headline", "title", "output", "target")),
    }
    pair = (as_summary,)
    prompting = "chat or text"
    answer_fields = ("document", "summary")

    def problems(self, fields: Fields, layout: RowLayout, names: Names) -> Iterator[Problem]:
        return text_pair_problems(fields, self.fields, layout.extra, layout.names)

    def build(self, fields: Fields, context: Context) -> Summary:
        return Summary(fields["document"], fields["summary"])

    def plain(self, layout: RowLayout) -> PlainLines:
        return PlainLines(Summary, pairs)

    def conversation(self, row: Summary, *, instructed: bool = False) -> Conversation:
        instruction = "" if instructed else SUMMARIZE
        return Conversation([Message("user", instruction + row.document), Message("assistant", row.summary)])

    def texts(self, row: Summary, *, instructed: bool = False) -> tuple[str, str]:
        return (row.document, row.summary) if instructed else (row.document + SUMMARY_CUE, f" {row.summary}")

    def without_template(self) -> str:
        return 'a prompt is the document and "Summary:"'

    def request(self, *, chat: bool) -> tuple[str, str]:
        if chat:
            return f"{SUMMARIZE}<the text>", "The document follows the words that the model was trained with:"
        return f"<the text>{SUMMARY_CUE}", "The document is followed by the word that the model was trained with:"
