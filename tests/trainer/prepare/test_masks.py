"""The loss mask, token by token, for the common families of chat templates, with SmolLM2's tokenizer."""

import functools
from datetime import datetime
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from finetune_text.chat_template import ChatTemplate
from finetune_text.markers import Markers
from finetune_trainer.data.rows.types import Conversation, Message
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.encoded import Encoded, Refused
from finetune_trainer.data.tokens.language import LanguageEncoder
from tests.unit.tokens import templates

# Template, its end-of-turn marker, whether it strips contents, whether it takes a system message, what precedes an answer
FAMILIES = {
    "smollm2": (templates.SMOLLM2, "<|im_end|>", False, True, ""),
    "chatml": (templates.CHATML, "<|im_end|>", False, True, ""),
    "llama3": (templates.LLAMA3, "<|eot_id|>", True, True, ""),
    "gemma": (templates.GEMMA, "<end_of_turn>", True, False, ""),
    "mistral": (templates.MISTRAL, "</s>", False, False, " "),
    "zephyr": (templates.ZEPHYR, "</s>", False, True, ""),
}
MARKERS = ["<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "<end_of_turn>", "<s>", "</s>"]

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"], exclude_characters="\0"), min_size=1, max_size=30)
CONTENTS = (WORDS | st.sampled_from(["Hello there!", "1 + 1 = 2\n\n    code()\n", "<|user|>", "日本語 😀🏽", "end \t \n\n"])).filter(
    # leading white space may share a token with the prompt, which has a test of its own
    lambda text: bool(text.strip()) and text == text.lstrip()
)


class Encoders:
    """An encoder for each family, made once."""

    def __init__(self, tokenizer_json: Path) -> None:
        tokenizer = Tokenizer.from_file(str(tokenizer_json))
        tokenizer.add_special_tokens([AddedToken(marker, special=True, normalized=False) for marker in MARKERS])
        self.tokenizer = tokenizer

    @functools.cache  # noqa: B019 - lives as long as the session
    def get(self, family: str, loss_on: Literal["assistant", "all"] = "assistant") -> LanguageEncoder:
        """The encoder with a family's template."""
        template = ChatTemplate(FAMILIES[family][0], {"bos_token": "<s>", "eos_token": "</s>"}, lambda: datetime(2026, 2, 1))
        return LanguageEncoder(self.tokenizer, ChatRenderer(template, Markers((*MARKERS, "<|im_end|>"))), loss_on)


@pytest.fixture(scope="session")
def encoders(assets: Path) -> Encoders:
    """With SmolLM2's tokenizer, to which the families' markers are added as special tokens."""
    return Encoders(assets / "smollm2-tiny" / "tokenizer.json")


def encode(encoder: LanguageEncoder, *messages: Message) -> Encoded:
    """One conversation's example."""
    (example,) = encoder.encode([("line 1", Conversation(list(messages)))])
    assert isinstance(example, Encoded)
    return example


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """User and assistant in turn, perhaps after a system message."""
    messages = [Message("system", draw(CONTENTS))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages += [Message("user", draw(CONTENTS)), Message("assistant", draw(CONTENTS), draw(st.sampled_from([None, 0, 1])))]
    return [*messages, Message("user", "And?"), Message("assistant", draw(CONTENTS))]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(messages=conversations())
def test_the_supervised_tokens_are_the_answers(encoders: Encoders, family: str, messages: list[Message]) -> None:
    """Decoded, they are exactly the assistant's words, each with its end-of-turn marker; the ids are those of the whole text."""
    _, marker, strips, takes_system, lead = FAMILIES[family]
    encoder = encoders.get(family)
    messages = messages if takes_system else [message for message in messages if message.role != "system"]
    assume(all(round_trips(encoder, message.content or "") for message in messages))
    example = encode(encoder, *messages)
    contents = [message.content or "" for message in messages if message.supervised]
    answers = [content.strip() if strips else content for content in contents]
    assert decode(encoder, example) == "".join(lead + answer + marker for answer in answers)
    whole = encoder.tokenizer.encode(encoder.renderer.whole(Conversation(messages)), add_special_tokens=False)
    assert example.input_ids.tolist() == whole.ids


def round_trips(encoder: LanguageEncoder, text: str) -> bool:
    """False for the few bytes that SmolLM2's vocabulary has no token for."""
    return bool(encoder.tokenizer.decode(encoder.tokenizer.encode(text).ids, skip_special_tokens=False) == text)


def decode(encoder: LanguageEncoder, example: Encoded) -> str:
    """The text of the supervised tokens."""
    return str(encoder.tokenizer.decode(example.input_ids[example.loss_mask].tolist(), skip_special_tokens=False))


# Llama 3's blank line is one token by itself and two before a word in SmolLM2's vocabulary; in its own it is always one.
@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"llama3"}))
def test_the_prompt_of_a_chat_is_where_supervision_begins(encoders: Encoders, family: str) -> None:
    """What a server sends to the model is, token for token, what came before the supervised tokens in training."""
    encoder = encoders.get(family)
    chat = [Message("user", "Who are you?"), Message("assistant", "A model.")]
    example = encode(encoder, *chat)
    prompt = encoder.prompt(Conversation(chat))
    assert prompt == example.input_ids[: example.loss_mask.argmax()].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_end_of_turn_token_is_found(encoders: Encoders, family: str) -> None:
    """It ends generation, whatever the model's configuration lists."""
    renderer = encoders.get(family).renderer
    assert isinstance(renderer, ChatRenderer)
    assert renderer.markers.end_of_turn(renderer.template.template) == FAMILIES[family][1]


def test_a_token_that_holds_the_prompt_too_is_not_supervised(encoders: Encoders) -> None:
    """ChatML's line end and the first of two leading spaces make one token, which no prompt ends with."""
    encoder = encoders.get("chatml")
    assert decode(encoder, encode(encoder, Message("user", "Hi"), Message("assistant", "  Hello"))) == " Hello<|im_end|>"


def test_loss_on_all_supervises_what_can_be_predicted(encoders: Encoders) -> None:
    """Every token but the first."""
    example = encode(encoders.get("llama3", "all"), Message("user", "Hi"), Message("assistant", "Hello"))
    assert example.loss_mask.tolist() == [False] + [True] * (len(example.input_ids) - 1)


def test_a_refused_row_does_not_disturb_the_others(encoders: Encoders) -> None:
    """Rows and encodings stay in step when the template refuses some of a batch."""
    encoder = encoders.get("gemma")
    right = [Message("user", "Hi"), Message("assistant", "Hello")]
    rows = [
        (f"line {number}", Conversation([Message("system", "Be kind."), *right] if number % 3 == 0 else right)) for number in range(600)
    ]
    for number, example in enumerate(encoder.encode(rows)):
        if number % 3 == 0:
            assert example == Refused(f"line {number}", "says: System role not supported", by_template=True)
        else:
            assert isinstance(example, Encoded)
            assert decode(encoder, example) == "Hello<end_of_turn>"
