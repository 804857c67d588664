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
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.encoded import Encoded, Refused
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.tasks.conversation import Conversation, Message
from tests.trainer.prepare.answers import answers_of, asked
from tests.unit.data.tokens import templates

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
CONTENTS = (
    WORDS | st.sampled_from(["Hello there!", "1 + 1 = 2\n\n    code()\n", "<|user|>", "日本語 😀🏽", "end \t \n\n", "  two", "\n\nlines"])
).filter(lambda text: bool(text.strip()))


class Encoders:
    """An encoder for each family, made once."""

    def __init__(self, tokenizer_json: Path) -> None:
        tokenizer = Tokenizer.from_file(str(tokenizer_json))
        tokenizer.add_special_tokens([AddedToken(marker, special=True, normalized=False) for marker in MARKERS])
        self.tokenizer = tokenizer

    @functools.cache  # noqa: B019 - lives as long as the session
    def get(self, family: str, loss_on: Literal["assistant", "all"] = "assistant") -> LanguageEncoder:
        """The encoder with a family's template."""
        template = ChatTemplate(FAMILIES[family][0], {"bos_token": "<s>", "eos_token": "</s>"}, clock=lambda: datetime(2026, 2, 1))
        return LanguageEncoder(self.tokenizer, ChatRenderer(template, Markers((*MARKERS, "<|im_end|>"))), loss_on)


@pytest.fixture(scope="session")
def encoders(assets: Path) -> Encoders:
    """With SmolLM2's tokenizer, to which the families' markers are added as special tokens."""
    return Encoders(assets / "smollm2-5m" / "tokenizer.json")


def encode(encoder: LanguageEncoder, *messages: Message) -> list[Encoded]:
    """One conversation's examples."""
    examples = list(encoder.encode([("line 1", Conversation(list(messages)))]))
    assert all(isinstance(example, Encoded) for example in examples)
    return [example for example in examples if isinstance(example, Encoded)]


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
    """Decoded, they are exactly the assistant's words, each with its end-of-turn marker; before each are the tokens that a server
    makes of the prompt."""
    _, marker, strips, takes_system, lead = FAMILIES[family]
    encoder = encoders.get(family)
    messages = messages if takes_system else [message for message in messages if message.role != "system"]
    assume(all(round_trips(encoder, message.content or "") for message in messages))
    examples = encode(encoder, *messages)
    contents = [message.content or "" for message in messages if message.supervised]
    answers = [content.strip() if strips else content for content in contents]
    found = sorted((said for example in examples for said in answers_of(example)), key=lambda said: len(said.before))
    assert [decode(encoder, said.ids) for said in found] == [lead + answer + marker for answer in answers]
    assert [said.before for said in found] == asked(encoder, messages)


def round_trips(encoder: LanguageEncoder, text: str) -> bool:
    """False for the few bytes that SmolLM2's vocabulary has no token for."""
    return bool(encoder.tokenizer.decode(encoder.tokenizer.encode(text).ids, skip_special_tokens=False) == text)


def decode(encoder: LanguageEncoder, ids: list[int]) -> str:
    """A text with its special tokens."""
    return str(encoder.tokenizer.decode(ids, skip_special_tokens=False))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_end_of_turn_token_is_found(encoders: Encoders, family: str) -> None:
    """It ends generation, whatever the model's configuration lists."""
    renderer = encoders.get(family).renderer
    assert isinstance(renderer, ChatRenderer)
    assert renderer.markers.end_of_turn(renderer.template.template) == FAMILIES[family][1]


@pytest.mark.parametrize(
    "family, answer, apart",
    [("chatml", "  Hello", True), ("chatml", "Hello", False), ("chatml", "\nHello", False), ("llama3", "Hello", True)],
)
def test_an_answer_that_would_share_a_token_with_the_prompt(encoders: Encoders, family: str, answer: str, apart: bool) -> None:
    """ChatML's line end and the first of two leading spaces make one token, and so do, before a word, Llama 3's blank line and the
    words around it in SmolLM2's vocabulary. The prompt is tokenised apart, and the row is counted."""
    encoder = LanguageEncoder(encoders.tokenizer, encoders.get(family).renderer, "assistant")
    chat = [Message("user", "Hi"), Message("assistant", answer)]
    (example,) = encode(encoder, *chat)
    (said,) = answers_of(example)
    assert said.before == asked(encoder, chat)[0]
    assert decode(encoder, said.ids) == answer + FAMILIES[family][1]
    joint = encoder.tokenizer.encode(encoder.renderer.whole(Conversation(chat)), add_special_tokens=False).ids
    assert (example.input_ids.tolist() != joint[: len(example.input_ids)], encoder.borders.rows) == (apart, int(apart))


def test_loss_on_all_supervises_what_can_be_predicted(encoders: Encoders) -> None:
    """Every token but the first."""
    (example,) = encode(encoders.get("llama3", "all"), Message("user", "Hi"), Message("assistant", "Hello"))
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
            assert decode(encoder, example.input_ids[example.loss_mask].tolist()) == "Hello<end_of_turn>"
