"""What of a rendered conversation the assistant said."""

from datetime import datetime

import pytest

from finetune_trainer.data.rows.types import Conversation, Message
from finetune_trainer.data.tokens.spans import NotPrefixPreserving, by_difference
from finetune_trainer.data.tokens.template import ChatTemplate, TemplateRefusal
from tests.unit.tokens import templates

MARKERS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "</s>")
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CHAT = [Message("user", "One?"), Message("assistant", "1"), Message("user", "Two?"), Message("assistant", " 2\n")]
SINGLE = CHAT[:2]


def template(text: str) -> ChatTemplate:
    """A template, at a fixed moment."""
    return ChatTemplate(text, SPECIAL, datetime(2026, 2, 1))


def said(text: str, messages: list[Message]) -> list[str]:
    """The supervised pieces of text."""
    whole, spans = by_difference(template(text), Conversation(messages), MARKERS)
    return [whole[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    "text, expected",
    [
        (templates.SMOLLM2, ["1<|im_end|>", " 2\n<|im_end|>"]),
        (templates.CHATML, ["1<|im_end|>", " 2\n<|im_end|>"]),
        (templates.GENERATION_BLOCK, ["1<|im_end|>", " 2\n<|im_end|>"]),
        (templates.LLAMA3, ["1<|eot_id|>", "2<|eot_id|>"]),
        (templates.GEMMA, ["1<end_of_turn>", "2<end_of_turn>"]),
        (templates.MISTRAL, [" 1</s>", "  2\n</s>"]),
        (templates.ZEPHYR, ["1</s>", " 2\n</s>"]),
    ],
    ids=["smollm2", "chatml", "generation", "llama3", "gemma", "mistral", "zephyr"],
)
def test_an_answer_is_its_words_and_its_end_marker(text: str, expected: list[str]) -> None:
    """The loss is on what the model has to say after the prompt, up to its end-of-turn marker and not on the line end after it."""
    assert said(text, CHAT) == expected


def test_weight_0_keeps_an_answer_out() -> None:
    """Only the answers that are to be learnt are supervised."""
    assert said(templates.CHATML, [CHAT[0], Message("assistant", "1", 0), *CHAT[2:]]) == [" 2\n<|im_end|>"]


def test_without_an_end_marker_the_line_end_ends_the_turn() -> None:
    """A model whose template has no marker must learn the white space that ends an answer."""
    plain = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    assert said(plain, SINGLE) == ["1\n"]


@pytest.mark.parametrize(
    "text, messages, words",
    [
        (templates.THINKING, CHAT, "messages[1] is rendered differently once other messages follow it"),
        (templates.OPENS_THOUGHTS, SINGLE, "the prompt before messages[1] is not what the message's own text begins with"),
        (templates.LAST_ONLY, SINGLE, "the prompt before messages[1]"),
    ],
    ids=["thinking", "opens thoughts", "last only"],
)
def test_a_template_that_rewrites_the_past_is_refused(text: str, messages: list[Message], words: str) -> None:
    """A mask that might be wrong is not made."""
    with pytest.raises(NotPrefixPreserving) as caught:
        said(text, messages)
    assert words in str(caught.value)


def test_a_template_that_rewrites_earlier_answers_serves_for_the_last() -> None:
    """Where only the last answer is learnt, its own rendering is all that counts."""
    assert said(templates.THINKING, SINGLE) == ["<think>\n\n</think>\n\n1<|im_end|>"]
    assert said(templates.THINKING, [CHAT[0], Message("assistant", "1", 0), *CHAT[2:]]) == ["<think>\n\n</think>\n\n 2\n<|im_end|>"]


@pytest.mark.parametrize(
    "messages, words",
    [
        ([Message("system", "Be kind."), *SINGLE], "System role not supported"),
        ([CHAT[0], *CHAT], "Conversation roles must alternate"),
    ],
)
def test_a_refusal_is_in_the_template_s_own_words(messages: list[Message], words: str) -> None:
    """What raise_exception says reaches the user."""
    with pytest.raises(TemplateRefusal, match=words):
        said(templates.GEMMA, messages)


@pytest.mark.parametrize(
    "text",
    [
        "{{ messages[0].__class__.__mro__ }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ messages.append(1) }}",
        "{{ messages[9].content + '' }}",
    ],
    ids=["escape", "endless", "mutation", "undefined"],
)
def test_a_template_is_a_program_in_a_sandbox(text: str) -> None:
    """It comes with the model, so it may neither reach out of its data nor crash the stage."""
    with pytest.raises(TemplateRefusal):
        template(text).render(SINGLE)


def test_strftime_now_is_one_moment() -> None:
    """Renderings of the same messages are equal, also around midnight."""
    assert "Today Date: 01 Feb 2026" in template(templates.LLAMA3).render(SINGLE)


def test_a_broken_template_is_refused() -> None:
    """Not every chat_template.jinja is one."""
    with pytest.raises(TemplateRefusal, match=r"line 1 of the template"):
        template("{% for %}")
