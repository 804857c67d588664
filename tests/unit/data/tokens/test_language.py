"""Rows of completion and summarization, and the fast way of chat, as token ids and masks."""

from datetime import datetime
from functools import partial
from typing import Literal

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as Decoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing

from finetune_text.chat_template import ChatTemplate
from finetune_text.markers import Markers
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.encoded import Encoded
from finetune_trainer.data.tokens.language import LanguageEncoder, Renderer
from finetune_trainer.data.tokens.skeleton import Skeletons
from finetune_trainer.data.tokens.spans import by_difference
from finetune_trainer.data.tokens.template import plain_messages
from finetune_trainer.data.tokens.texts import TextRenderer
from finetune_trainer.tasks import LanguageTask
from finetune_trainer.tasks.chat import ChatTask
from finetune_trainer.tasks.completion import Completion, CompletionTask
from finetune_trainer.tasks.conversation import Conversation, Message
from finetune_trainer.tasks.rows import Row
from finetune_trainer.tasks.summarization import SummarizationTask, Summary
from tests.unit.data.tokens import templates
from tests.unit.prepare.base_folder import byte_tokenizer

MARKERS = Markers(("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "</s>"))
END = 1
CHAT, COMPLETIONS, SUMMARIES = ChatTask(), CompletionTask(), SummarizationTask()


def with_bos() -> Tokenizer:
    """A tokenizer that puts <|im_start|> before a text."""
    tokenizer = byte_tokenizer()
    tokenizer.post_processor = TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", 0)])
    return tokenizer


def chat(text: str = templates.CHATML, task: LanguageTask = CHAT, instructed: bool = False) -> ChatRenderer:
    """A template's renderer of a task's rows."""
    template = ChatTemplate(text, {"bos_token": "<s>", "eos_token": "</s>"}, clock=lambda: datetime(2026, 2, 1))
    return ChatRenderer(template, MARKERS, partial(task.conversation, instructed=instructed))


def texts(task: LanguageTask, instructed: bool = False) -> TextRenderer:
    """A renderer without a template."""
    return TextRenderer(partial(task.texts, instructed=instructed))


COMPLETION = Completion("2 + 2 =", " 4")
SUMMARY = Summary("A long text.", "Short.")
ASKED = "<|im_start|>user\nSummarize the following text.\n\nA long text.<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "renderer, row, prompt, said",
    [
        (texts(COMPLETIONS), COMPLETION, "2 + 2 =", " 4<|im_end|>"),
        (texts(SUMMARIES), SUMMARY, "A long text.\n\nSummary:", " Short.<|im_end|>"),
        (texts(SUMMARIES, instructed=True), SUMMARY, "A long text.", "Short.<|im_end|>"),
        (chat(task=SUMMARIES), SUMMARY, ASKED, "Short.<|im_end|>"),
        (chat(task=SUMMARIES, instructed=True), SUMMARY, ASKED.replace("Summarize the following text.\n\n", ""), "Short.<|im_end|>"),
    ],
    ids=["completion", "summary as text", "own prompt as text", "summary as chat", "own prompt as chat"],
)
@pytest.mark.parametrize("bos", [True, False])
def test_the_prompts_of_the_tasks(renderer: Renderer, row: Row, prompt: str, said: str, bos: bool) -> None:
    """Plain texts stand between the tokenizer's own first token and the end-of-text token; a chat template writes both itself."""
    plain = isinstance(renderer, TextRenderer)
    encoder = LanguageEncoder(with_bos() if bos else byte_tokenizer(), renderer, "assistant", END if plain else None)
    (example,) = encoder.encode([("line 1", row)])
    assert isinstance(example, Encoded)
    first = "<|im_start|>" if bos and plain else ""
    assert decode(encoder, example.input_ids.tolist()).rstrip("\n") == first + prompt + said
    assert decode(encoder, example.input_ids[example.loss_mask].tolist()) == said
    assert decode(encoder, encoder.prompt(row) or []) == first + prompt
    assert encoder.prompt(row) == example.input_ids[: int(example.loss_mask.argmax())].tolist()


def decode(encoder: LanguageEncoder, ids: list[int]) -> str:
    """A text with its special tokens."""
    return str(encoder.tokenizer.decode(ids, skip_special_tokens=False))


@pytest.mark.parametrize("loss_on, supervised", [("assistant", 3), ("all", 10)])
def test_loss_on_all_is_on_the_prompt_too(loss_on: Literal["assistant", "all"], supervised: int) -> None:
    """Every token but the first, which nothing predicts."""
    (example,) = LanguageEncoder(with_bos(), texts(COMPLETIONS), loss_on, END).encode([("line 1", COMPLETION)])
    assert isinstance(example, Encoded)
    assert (len(example.input_ids), int(example.loss_mask.sum())) == (11, supervised)


def with_words() -> Tokenizer:
    """A tokenizer that joins a space to the word after it; 0 and 1 are special."""
    letters = {letter: index for index, letter in enumerate(["<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet())])}
    tokenizer = Tokenizer(BPE(letters | {"ĠT": len(letters), "ĠTa": len(letters) + 1}, [("Ġ", "T"), ("ĠT", "a")]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = Decoder()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return tokenizer


@pytest.mark.parametrize("loss_on", ["assistant", "all"])
@pytest.mark.parametrize(
    "prompt, answer, reason",
    [
        ("Answer: ", "Take", "the prompt ends with white space"),
        ("Answer:", " Take", ""),
        ("Answer:\n", "Take", ""),
        ("Answer: ", "No", ""),
    ],
)
def test_the_answer_begins_where_the_prompt_ends(loss_on: Literal["assistant", "all"], prompt: str, answer: str, reason: str) -> None:
    """What a server makes of the prompt alone is what was trained before the answer, and all of the answer is learnt; a row whose text
    as a whole has other tokens there is counted, with the reason."""
    encoder = LanguageEncoder(with_words(), texts(COMPLETIONS), loss_on, END)
    (example,) = encoder.encode([("line 1", Completion(prompt, answer))])
    assert isinstance(example, Encoded)
    ids, asked = example.input_ids.tolist(), encoder.tokens.text(prompt)
    assert ids[: len(asked)] == asked == encoder.prompt(Completion(prompt, answer))
    assert decode(encoder, ids[len(asked) :]) == answer + "<|im_end|>"
    assert example.loss_mask.tolist() == [False] + [loss_on == "all"] * (len(asked) - 1) + [True] * (len(ids) - len(asked))
    assert dict(encoder.borders.reasons) == ({reason: 1} if reason else {})
    assert encoder.borders.first == ("line 1" if reason else "")


CUE = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"


def test_each_turn_of_a_conversation_follows_its_own_request() -> None:
    """A template whose prompt ends with a space: an answer that would share a token with it gets an example of its own, whose context
    is the request's, the earlier answers in it tokenised as requests have them; the others share one."""
    encoder = LanguageEncoder(with_words(), chat(CUE), "assistant")
    turns = [Message("user", "a"), Message("assistant", "Take"), Message("user", "b"), Message("assistant", "No")]
    turns += [Message("user", "c"), Message("assistant", "Tap")]
    examples = [example for example in encoder.encode([("line 1", Conversation(turns))]) if isinstance(example, Encoded)]
    template = encoder.renderer.template.template  # type: ignore[attr-defined]
    contexts = [example.input_ids[: int(example.loss_mask.argmax())].tolist() for example in examples]
    assert contexts == [encoder.tokens.chat(template.prompt(plain_messages(turns[:index]))) for index in (3, 1, 5)]
    said = [decode(encoder, example.input_ids[example.loss_mask].tolist()) for example in examples]
    assert said == ["No<|im_end|>", "Take<|im_end|>", "Tap<|im_end|>"]
    assert encoder.borders.rows == 1


CONVERSATIONS: list[list[tuple[str, str]]] = [
    [("user", "Hi"), ("assistant", "Hello")],
    [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Hi"), ("assistant", "Hi")],
    [("user", " Probe0of2. "), ("assistant", "\n<|im_end|>\n")],
    [("user", "user"), ("assistant", "assistant"), ("user", ""), ("assistant", "2")],
]


@pytest.mark.parametrize(
    "text", [templates.CHATML, templates.SMOLLM2, templates.LLAMA3, templates.GEMMA, templates.MISTRAL, templates.ZEPHYR]
)
@pytest.mark.parametrize("turns", CONVERSATIONS)
def test_the_fast_way_finds_what_the_slow_one_finds(text: str, turns: list[tuple[Literal["system", "user", "assistant"], str]]) -> None:
    """Or nothing, and then the slow one is taken."""
    row = Conversation([Message(*turn) for turn in turns if turn[0] != "system" or text not in (templates.GEMMA, templates.MISTRAL)])
    template = chat(text).template
    fitting = Skeletons(template, MARKERS).fit(row)
    if "<|im_end|>" not in turns[-1][1]:
        assert fitting == by_difference(template, row, MARKERS)


@pytest.mark.parametrize("text", [templates.THINKING, templates.OPENS_THOUGHTS, templates.LAST_ONLY, "{{ messages[0].content | upper }}"])
def test_no_skeleton_is_made_of_a_template_that_rewrites(text: str) -> None:
    """Its conversations are looked at one by one."""
    row = Conversation([Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d")])
    assert Skeletons(chat(text).template, MARKERS).fit(row) is None


def test_a_content_that_a_template_treats_specially_does_not_fit() -> None:
    """Here thoughts are cut off; the others of the same form go the fast way."""
    skeletons = Skeletons(
        chat(templates.CHATML.replace("message['content']", "message['content'].split('</think>')[-1]")).template, MARKERS
    )
    assert skeletons.fit(Conversation([Message("user", "a"), Message("assistant", "b")])) is not None
    assert skeletons.fit(Conversation([Message("user", "a"), Message("assistant", "x</think>b")])) is None


def test_an_answer_without_an_end_gets_one() -> None:
    """Otherwise the model would never learn to stop."""
    text = "{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    renderer = ChatRenderer(ChatTemplate(text, {}, clock=lambda: datetime(2026, 2, 1)), Markers(("<|im_end|>",), end="<|im_end|>"))
    (rendered,) = renderer.render(Conversation([Message("user", "a"), Message("assistant", "b")]))
    assert rendered.text == "user: aassistant: b<|im_end|>"
    assert [rendered.text[span.start : span.end] for span in rendered.spans] == ["b<|im_end|>"]
    assert renderer.without_end == 1
    assert renderer.whole(Conversation([Message("user", "a"), Message("assistant", "b")])) == rendered.text


PHI = "{% for m in messages %}{{ m.role + m.content }}</s>\n{% endfor %}{{ 'assistant' if add_generation_prompt else '<|im_end|>' }}"


@pytest.mark.parametrize(
    "text, expected",
    [
        (templates.CHATML, "<|im_end|>"),
        (templates.GEMMA, "<end_of_turn>"),
        (PHI, "</s>"),
        (templates.OPENS_THOUGHTS, "<|im_end|>"),
        ("{{ 1 / 0 }}", ""),
    ],
)
def test_the_marker_that_ends_an_answer(text: str, expected: str) -> None:
    """It ends generation, whatever the model's configuration lists."""
    assert MARKERS.end_of_turn(chat(text).template.template) == expected
