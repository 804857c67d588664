"""What of a rendered conversation the assistant said."""

from datetime import datetime

import pytest

from finetune_text.chat_template import ChatTemplate, InvalidTemplate, TemplateRefusal
from finetune_text.markers import Markers
from finetune_trainer.data.tokens.spans import NotPrefixPreserving, Rendered, WordsLeftOut, by_blocks, by_difference, by_turns
from finetune_trainer.data.tokens.template import ExampleTemplate
from finetune_trainer.tasks.conversation import Conversation, FunctionCall, Message, ToolCall
from tests.unit.data.tokens import templates

MARKERS = Markers(
    ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "</s>", "<|user|>", "<|end|>"), stops=("<|user|>", "</s>"), added=("<|bot|>",)
)
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CHAT = [Message("user", "One?"), Message("assistant", "1"), Message("user", "Two?"), Message("assistant", " 2\n")]
SINGLE = CHAT[:2]


def template(text: str) -> ExampleTemplate:
    """A template, at a fixed moment."""
    return ExampleTemplate(ChatTemplate(text, SPECIAL, clock=lambda: datetime(2026, 2, 1)))


def said(text: str, messages: list[Message]) -> list[str]:
    """The supervised pieces of text."""
    return words(by_difference(template(text), Conversation(messages), MARKERS))


def words(rendered: Rendered) -> list[str]:
    """The supervised pieces of a rendered conversation."""
    return [rendered.text[span.start : span.end] for span in rendered.spans]


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


PHI = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
"""As Phi 3: the whole text has an end of its own, which no answer has."""
NEXT_TURN_ENDS = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""As GLM: an answer ends where the user's token begins the next turn."""


@pytest.mark.parametrize(
    "text, expected",
    [(PHI, ["1<|end|>", " 2\n<|end|>"]), (NEXT_TURN_ENDS, ["1<|user|>", " 2\n"])],
    ids=["end of text", "next turn"],
)
def test_an_end_marker_is_the_one_that_ends_the_answer(text: str, expected: list[str]) -> None:
    """The first of several with white space between them, or the stop token that begins the next turn."""
    assert said(text, CHAT) == expected


@pytest.mark.parametrize(
    "block, expected",
    [
        ("{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>", ["1<|im_end|>", " 2\n<|im_end|>"]),
        ("{% generation %}{{ m.content + '<|im_end|>\n' }}{% endgeneration %}", ["1<|im_end|>", " 2\n<|im_end|>"]),
        ("{% generation %}<|bot|>{{ m.content + '<|im_end|>' }}{% endgeneration %}", ["1<|im_end|>", " 2\n<|im_end|>"]),
    ],
    ids=["marker outside", "line end inside", "begins in the prompt"],
)
def test_generation_blocks_say_what_differences_cannot(block: str, expected: list[str]) -> None:
    """They are cut to what follows the prompt, up to the end marker; here the prompt opens thoughts that no text has: each
    answer is learnt behind what the server asks."""
    head, tail = "{% for m in messages %}{% if m.role == 'assistant' %}", "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    text = head + block + tail + "{% if add_generation_prompt %}<|bot|><think>{% endif %}"
    with pytest.raises(NotPrefixPreserving):
        said(text, CHAT)
    found = by_blocks(template(text), Conversation(CHAT), MARKERS)
    whole_before = template(text).render(CHAT[:3], add_generation_prompt=True)
    assert found is not None
    assert [words(part) for part in found] == [[said] for said in expected]
    assert [part.text[: part.spans[0].start] for part in found] == ["One?<|bot|><think>", whole_before]


def test_blocks_that_are_not_one_for_each_answer_say_nothing() -> None:
    """Neither does a template without them."""
    last = "{% for m in messages %}{% if loop.last %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}"
    assert by_blocks(template(last), Conversation(CHAT), MARKERS) is None
    assert by_blocks(template(templates.CHATML), Conversation(CHAT), MARKERS) is None


def test_answers_that_are_rewritten_later_each_have_a_text_of_their_own() -> None:
    """It ends with the answer, as the model has to give it."""
    thoughts = "<think>\n\n</think>\n\n"
    turns = by_turns(template(templates.THINKING), Conversation(CHAT), MARKERS)
    assert [words(turn) for turn in turns] == [[f"{thoughts}1<|im_end|>"], [f"{thoughts} 2\n<|im_end|>"]]
    assert turns[1].text.startswith("<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n1<|im_end|>\n")


def test_a_template_that_leaves_words_out_is_refused() -> None:
    """As those of models for images, which take contents in parts only."""
    turn = "{{ m.role }}{% if m.content is not string %}{{ m.content[0].text }}{% endif %}</s>"
    text = "{% for m in messages %}" + turn + "{% endfor %}{% if add_generation_prompt %}assistant{% endif %}"
    with pytest.raises(WordsLeftOut, match=r"leaves out the content of messages\[1\]$"):
        said(text, CHAT)


@pytest.mark.parametrize(
    "content, written, words",
    [
        ("I look.", "{{ m.tool_calls[0].function.name }}", r"content of messages\[1\], which has tool_calls as well: remove it there"),
        (None, "{{ m.content or '' }}", r"tool_calls of messages\[1\]"),
    ],
)
def test_a_template_that_leaves_out_a_part_of_an_answer_is_told(content: str | None, written: str, words: str) -> None:
    """As Llama 3.1 does with a content beside tool_calls."""
    turn = "{% if m.tool_calls %}" + written + "{% else %}{{ m.content }}{% endif %}</s>"
    call = ToolCall(FunctionCall("find", "{}"))
    with pytest.raises(WordsLeftOut, match=words):
        said("{% for m in messages %}" + turn + "{% endfor %}", [CHAT[0], Message("assistant", content, tool_calls=[call])])


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
    with pytest.raises(InvalidTemplate, match=r"line 1 of the template"):
        template("{% for %}")
