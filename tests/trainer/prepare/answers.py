"""What examples teach: each answer and the tokens before it, and what a server makes of the same prompts."""

from typing import NamedTuple

import numpy as np

from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.encoded import Encoded
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.data.tokens.template import plain_messages, plain_tools
from finetune_trainer.tasks.conversation import Message, Tool


class Answer(NamedTuple):
    """Supervised tokens that follow each other."""

    before: list[int]
    """All tokens of the example before them."""
    ids: list[int]


def answers_of(example: Encoded) -> list[Answer]:
    """The supervised stretches of an example."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], example.loss_mask, [False]]).astype(np.int8)))
    ids = example.input_ids.tolist()
    return [Answer(ids[:start], ids[start:end]) for start, end in edges.reshape(-1, 2)]


def asked(encoder: LanguageEncoder, messages: list[Message], tools: list[Tool] | None = None) -> list[list[int]]:
    """For each answer that is to be learnt, the ids of the request whose answer it is."""
    assert isinstance(encoder.renderer, ChatRenderer)
    template = encoder.renderer.template.template
    answers = [index for index, message in enumerate(messages) if message.supervised]
    return [encoder.tokens.chat(template.prompt(plain_messages(messages[:index]), plain_tools(tools))) for index in answers]
