"""What is learnt of a conversation, for the chat templates of public models and several kinds of tokenizers."""

import functools
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from finetune_text.chat_template import ChatTemplate, TemplateRefusal
from finetune_text.markers import Markers
from finetune_trainer.data.tokens.chat import ChatRenderer
from finetune_trainer.data.tokens.encoded import Encoded, Refused
from finetune_trainer.data.tokens.language import LanguageEncoder
from finetune_trainer.tasks.conversation import Conversation, Function, FunctionCall, Message, Tool, ToolCall
from tests.trainer.prepare.answers import answers_of, asked
from tests.trainer.prepare.public_templates import public_templates, tokens_of

# Names of templates -> what they write before an answer's words, and what ends it
ANSWERS = {
    r"cohere(_training)?": ("", "<|END_OF_TURN_TOKEN|>"),
    r"cohere2(_training)?": ("", "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"),
    r"(deepseek_r1_distill|deepseekv3)_training": ("", "<｜end▁of▁sentence｜>"),
    r"(diffusion_gemma|gemma4).*": ("", "<turn|>"),
    r"gemma3?(_training)?": ("", "<end_of_turn>"),
    r"glm4moe(_training)?": ("\n<think></think>\n", "<|user|>"),
    r"gptoss": ("<|channel|>final<|message|>", "<|return|>"),
    r"lfm2.*": ("", "<|im_end|>"),
    r"llama3.*": ("", "<|eot_id|>"),
    r"muse_glimmer.*": (" to=user<|message|>", "<|eot|>"),
    r"nemotron_.*_training": ("<think></think>", "<|im_end|>"),
    r"phi3.*": ("", "<|end|>"),
    r"qwen2_5.*|qwen3_instruct_2507.*|qwen3_vl.*|qwen3_5_nothink.*": ("", "<|im_end|>"),
    r"qwen3(_training)?": ("<think>\n\n</think>\n\n", "<|im_end|>"),
    r"(qwen3_5_think|qwen3_6|qwen3_8).*": ("\n</think>\n\n", "<|im_end|>"),
}
# Those that open thoughts in the prompt which no text of theirs has, and those that take no text but parts of contents
REFUSED = r"deepseek_r1_distill|deepseekv3|nemotron_3_(5_lightning|nano|super|ultra)|(idefics3|smolvlm|llava_next)(_training)?"
OTHER_ENDS = r"gptoss_training"
"""An answer that another message follows ends with another token than the last one."""
NO_END = "glm4moe"
"""It ends an answer with the user's next token, so the last one gets the end-of-text token."""

SAMPLES = ["the", "order", "42", "was", "sent;", "on", "Monday!", "{x}", "'yes'", "(no)", "a,b", "I"]
TOOL = Tool(Function("weather", "How it is.", {"type": "object", "properties": {"town": {"type": "string"}}}))
CALL = ToolCall(FunctionCall("weather", '{"town": "Köln"}'), id="call00001")
WEATHER = [
    Message("user", "How is it?"),
    Message("assistant", None, tool_calls=[CALL]),
    Message("tool", '{"degrees": 17171}', tool_call_id="call00001", name="weather"),
    Message("assistant", "It is warm."),
]
WORDS = st.lists(st.sampled_from(SAMPLES), min_size=1, max_size=8).map(" ".join)
ANY = st.text(
    st.characters(exclude_categories=["Cn", "Co", "Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="<>|"), min_size=1, max_size=20
)


@pytest.fixture(scope="session")
def templates(assets: Path) -> dict[str, str]:
    """All of them."""
    return public_templates(assets.parent / "test-packages")


def names(templates: dict[str, str], pattern: str) -> list[str]:
    """The templates with a matching name."""
    return [name for name in templates if re.fullmatch(pattern, name)]


class Encoders:
    """An encoder for each template and tokenizer, made once."""

    def __init__(self, templates: dict[str, str], assets: Path) -> None:
        self.templates = templates
        self.assets = assets

    @functools.cache  # noqa: B019 - lives as long as the session
    def tokenizer(self, kind: str) -> Tokenizer:
        """A tokenizer that has the special tokens of all templates."""
        tokenizer = TOKENIZERS[kind](self.assets)
        tokens = sorted({token for text in self.templates.values() for token in tokens_of(text)})
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
        return tokenizer

    @functools.cache  # noqa: B019
    def get(self, name: str, kind: str) -> LanguageEncoder:
        """An encoder; the end markers are the template's own special tokens."""
        text = self.templates[name]
        template = ChatTemplate(text, {"bos_token": "<s>", "eos_token": "</s>"}, clock=lambda: datetime(2026, 2, 1))
        tokens = tuple(tokens_of(text))
        renderer = ChatRenderer(template, Markers(tokens, ("<|user|>", "</s>"), tokens, "</s>"))
        return LanguageEncoder(self.tokenizer(kind), renderer, "assistant")


@pytest.fixture(scope="session")
def encoders(templates: dict[str, str], assets: Path) -> Encoders:
    """All of them."""
    return Encoders(templates, assets)


def byte_level(assets: Path) -> Tokenizer:
    """A small BPE over bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(["the order was sent on Monday, yes, and the answer is 42"] * 3, trainer)
    return tokenizer


def metaspace(assets: Path) -> Tokenizer:
    """A small Unigram model over words that begin with a space's stand-in, as SentencePiece makes it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    alphabet = [chr(code) for code in range(33, 127)] + ["\n", "▁"]
    trainer = trainers.UnigramTrainer(
        vocab_size=300, initial_alphabet=alphabet, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(["the order was sent on Monday, yes, and the answer is 42\n"] * 3, trainer)
    return tokenizer


TOKENIZERS: dict[str, Any] = {
    "SmolLM2": lambda assets: Tokenizer.from_file(str(assets / "smollm2-5m" / "tokenizer.json")),
    "MiniLM": lambda assets: Tokenizer.from_file(str(assets / "all-minilm-l6-v2" / "tokenizer.json")),
    "byte-level": byte_level,
    "Metaspace": metaspace,
}
LOSSLESS = ("SmolLM2", "byte-level")


def conversations(contents: st.SearchStrategy[str]) -> st.SearchStrategy[list[Message]]:
    """One to three rounds, of which some answers have weight 0, but never the last."""
    rounds = st.lists(st.tuples(contents, contents, st.sampled_from([None, 0, 1])), min_size=1, max_size=3)

    def messages(drawn: list[tuple[str, str, Any]]) -> list[Message]:
        turns = [message for asked, said, weight in drawn for message in (Message("user", asked), Message("assistant", said, weight))]
        return [*turns[:-1], Message("assistant", turns[-1].content)]

    return rounds.map(messages)


def learnt(encoder: LanguageEncoder, messages: list[Message], tools: list[Tool] | None = None) -> str:
    """The text of the supervised tokens of all examples of a conversation."""
    examples = list(encoder.encode([("line 1", Conversation(messages, tools))]))
    assert all(isinstance(example, Encoded) for example in examples), examples
    masked = [example.input_ids[example.loss_mask].tolist() for example in examples if isinstance(example, Encoded)]
    return "".join(str(encoder.tokenizer.decode(ids, skip_special_tokens=False)) for ids in masked)


def contexts(encoder: LanguageEncoder, messages: list[Message]) -> list[list[int]]:
    """The tokens before each answer, in all examples of a conversation."""
    examples = encoder.encode([("line 1", Conversation(messages))])
    return sorted(answer.before for example in examples if isinstance(example, Encoded) for answer in answers_of(example))


def expected(name: str, lead: str, end: str, messages: list[Message]) -> str:
    """Every supervised answer with what precedes and ends it."""
    answers = "".join(f"{lead}{message.content}{end}" for message in messages if message.supervised)
    return answers.removesuffix(end) + "</s>" if name == NO_END else answers


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("pattern", ANSWERS)
def test_exactly_the_answers_are_learnt(encoders: Encoders, pattern: str, kind: str) -> None:
    """Decoded, the supervised tokens are the assistant's words and the end marker, token for token, for every template; before them are
    the tokens of the request."""
    lead, end = ANSWERS[pattern]
    found = names(encoders.templates, pattern)
    assert found

    @settings(max_examples=8, deadline=None, database=None)
    @given(name=st.sampled_from(found), messages=conversations(WORDS | ANY if kind in LOSSLESS else WORDS))
    def check(name: str, messages: list[Message]) -> None:
        encoder = encoders.get(name, kind)
        assert contexts(encoder, messages) == sorted(asked(encoder, messages))
        said, wanted = learnt(encoder, messages), expected(name, lead, end, messages)
        if kind in LOSSLESS:
            assert said == wanted
        else:
            assert bare(said) == bare(wanted)

    check()


def bare(text: str) -> str:
    """A text without what tokenizers lose: spaces (and what stands for them) and capitals."""
    return "".join(text.replace("▁", " ").split()).lower()


def test_what_templates_refuse_or_hide_is_refused(encoders: Encoders) -> None:
    """A mask that might be wrong is not made."""
    for name in names(encoders.templates, REFUSED):
        (found,) = encoders.get(name, "byte-level").encode(
            [("line 1", Conversation([Message("user", "Hi"), Message("assistant", "Hello")]))]
        )
        assert isinstance(found, Refused), name


def test_every_template_is_looked_at(templates: dict[str, str]) -> None:
    """A new one in the package gets its line above."""
    known = "|".join([*ANSWERS, REFUSED, OTHER_ENDS])
    assert [name for name in templates if not re.fullmatch(known, name)] == []


def test_calls_are_learnt_whole(encoders: Encoders) -> None:
    """Every template that knows tools: the name and the arguments of a call, and the answer, but not the tool's result."""
    checked = 0
    for name in encoders.templates:
        encoder = encoders.get(name, "byte-level")
        assert isinstance(encoder.renderer, ChatRenderer)
        if not re.fullmatch(REFUSED, name) and encoder.renderer.template.template.tools.calls != "ignored":
            said = learnt(encoder, WEATHER, [TOOL])
            assert all(word in said for word in ("weather", "Köln", "It is warm.")), name
            assert "17171" not in said, name
            checked += 1
    assert checked > 30


def test_a_template_may_refuse_a_system_message(encoders: Encoders) -> None:
    """In its own words."""
    renderer = encoders.get("gemma", "byte-level").renderer
    with pytest.raises(TemplateRefusal, match="System role not supported"):
        renderer.render(Conversation([Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Hello")]))
