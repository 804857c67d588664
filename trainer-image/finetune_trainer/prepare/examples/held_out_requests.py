"""The first held-out rows as requests, with the tokens of their examples as they came out of the encoder."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from finetune_text.chat_template import TemplateRefusal
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.classes import ClassEncoder
from finetune_trainer.data.tokens.embedding import EmbeddingEncoder
from finetune_trainer.data.tokens.encoded import Encoded, Example
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.data.tokens.template import plain_messages, plain_tools
from finetune_trainer.data.tokens.texts import TextRenderer
from finetune_trainer.prepare.dataset.dataset import Rowed
from finetune_trainer.prepare.examples.encoder import TaskEncoder
from finetune_trainer.tasks.rows import Row
from finetune_trainer.workspace.requests import HeldOutRequest

ROWS = 64


class HeldOutRequests:
    """Keeps the examples of the first rows as they pass."""

    def __init__(self, task: TaskEncoder) -> None:
        self._task = task
        self._examples: dict[str, list[Example]] = {}

    def saw(self, example: Example) -> None:
        """Looks at an example of the held-out side."""
        if example.where in self._examples or len(self._examples) < ROWS:
            self._examples.setdefault(example.where, []).append(example)

    def requests(self, rows: Rowed) -> Iterator[HeldOutRequest]:
        """Of the rows whose examples were kept."""
        for where, row in islice(rows, ROWS):
            if examples := self._examples.get(where):
                encoder = self._task.encoder
                if isinstance(encoder, EmbeddingEncoder):
                    yield HeldOutRequest(where, [example.input_ids.tolist() for example in examples], input=encoder.task.texts(row)[0])
                    continue
                if isinstance(encoder, ClassEncoder):
                    yield classified(encoder, where, row, examples)
                    continue
                found = self._asked(where, row, examples)
                if found is not None:
                    yield found

    def _asked(self, where: str, row: Row, examples: list[Example]) -> HeldOutRequest | None:
        encoder = self._task.encoder
        assert isinstance(encoder, LanguageEncoder)
        whole = encoder.loss_on == "all"
        trained = [ids for example in examples if isinstance(example, Encoded) for ids in contexts(example, whole)]
        if isinstance(encoder.renderer, TextRenderer):
            prompt = encoder.renderer.prompt(row)
            return HeldOutRequest(where, trained, prompt=prompt, whole=whole) if prompt else None
        assert isinstance(encoder.renderer, ChatRenderer)
        chat = encoder.renderer.conversation(row)
        learnt = [index for index, message in enumerate(chat.messages) if message.supervised]
        if not learnt:
            return None
        template = encoder.renderer.template.template
        now = template.clock().isoformat() if "strftime_now" in template.source else None
        messages, tools = plain_messages(chat.messages[: learnt[-1]]), plain_tools(chat.tools)
        try:
            template.prompt(messages, tools)
        except TemplateRefusal:  # nor does a server ask it
            return None
        return HeldOutRequest(where, trained, messages=messages, tools=tools, whole=whole, now=now)


def classified(encoder: ClassEncoder, where: str, row: Row, examples: list[Example]) -> HeldOutRequest:
    """A request to a classifier."""
    trained = [example.input_ids.tolist() for example in examples]
    given = encoder.task.input(row)
    text, pair = given if isinstance(given, tuple) else (given, None)
    return HeldOutRequest(where, trained, input=text, pair=pair)


def contexts(example: Encoded, whole: bool) -> list[list[int]]:
    """What is before each supervised stretch of an example; all of it where everything is learnt."""
    ids: list[int] = example.input_ids.tolist()
    if whole:
        return [ids]
    starts = np.flatnonzero(np.diff(np.concatenate([[False], example.loss_mask]).astype(np.int8)) == 1)
    return [ids[:start] for start in starts]
