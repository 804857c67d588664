"""The real tokenizer, against transformers."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer

from finetune_server.generation.tokenizer import Tokenizer
from finetune_server.model_directory import open_model_directory
from finetune_server.models.load import load_prompts, load_tokenizer
from finetune_text.chat_template import ChatTemplate, TemplateRefusal
from finetune_text.tokenizer_files import read_tokenizer_files

pytestmark = pytest.mark.server

CONVERSATIONS = [
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "  Wie gehts? 😀\n"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "<|im_end & <b>"}],
]


@pytest.fixture(scope="module")
def rust(model: Path) -> RustTokenizer:
    """The tokenizers package's own."""
    return load_tokenizer(open_model_directory(model, "onnx", "fp32").tokenizer)


@pytest.fixture(scope="module")
def tokenizer(rust: RustTokenizer) -> Tokenizer:
    """As the server has it."""
    return Tokenizer(rust)


def test_pieces_of_any_tokens(tokenizer: Tokenizer) -> None:
    """Any ids, special tokens and parts of characters among them, decode piece by piece to the same text as at once."""

    @given(st.lists(st.integers(0, tokenizer.vocabulary_size - 1), max_size=30))
    @settings(deadline=None, max_examples=100)
    def check(tokens: list[int]) -> None:
        detokenizer = tokenizer.detokenizer()
        pieces = [detokenizer.push(token) for token in tokens]
        assert "".join(pieces) + detokenizer.flush() == tokenizer.decode(tokens)

    check()


def test_bytes_of_tokens(tokenizer: Tokenizer, rust: RustTokenizer) -> None:
    """A token's bytes are exact, even where it holds a part of a character."""

    @given(st.text(max_size=50))
    @settings(deadline=None, max_examples=100)
    def check(text: str) -> None:
        tokens = rust.encode(text, add_special_tokens=False).ids
        assume(tokenizer.decode(tokens) == text)  # this vocabulary lacks a few bytes of rare planes
        assert bytes(byte for token in tokens for byte in tokenizer.token_bytes(token)) == text.encode()

    check()


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=["user", "system", "three turns"])
def test_prompt_is_that_of_transformers(model: Path, hf_model: Path, conversation: list[dict[str, str]]) -> None:
    """The rendered template has the same token ids as transformers' apply_chat_template."""
    from transformers import AutoTokenizer

    artifact = open_model_directory(model, "onnx", "fp32").tokenizer
    prompts = load_prompts(artifact, load_tokenizer(artifact))
    theirs: Any = AutoTokenizer.from_pretrained(hf_model).apply_chat_template(conversation, add_generation_prompt=True)
    assert prompts.chat(conversation) == theirs["input_ids"]


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"tokenizer_config.json": {"bos_token": "<s>"}}, {"bos_token": "<s>"}),
        ({"tokenizer_config.json": {"bos_token": {"content": "<s>"}, "eos_token": None}}, {"bos_token": "<s>"}),
        ({"special_tokens_map.json": {"bos_token": {"content": "<s>"}}}, {"bos_token": "<s>"}),
        (
            {
                "special_tokens_map.json": {"bos_token": "<a>", "eos_token": "</a>"},
                "tokenizer_config.json": {"bos_token": "<s>", "eos_token": None},
            },
            {"bos_token": "<s>", "eos_token": "</a>"},
        ),
    ],
)
def test_special_tokens_lie_in_either_file(tmp_path: Path, files: dict[str, dict[str, object]], expected: dict[str, str]) -> None:
    """Templates are given the texts of tokenizer_config.json, and of special_tokens_map.json where that is silent."""
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert read_tokenizer_files(tmp_path).special_tokens == expected


@pytest.mark.parametrize(
    "source, expected",
    [
        ("{{ bos_token }}{% for m in messages %}\n{{ m.content }}{% endfor %}", "<s>hi"),
        ("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}", "hi"),
        ("{{ messages | tojson }}", '[{"role": "user", "content": "hi"}]'),
        ("{% for m in messages %}{% if true %}{% break %}{% endif %}{% endfor %}x", "x"),
        ("{{ strftime_now('%%') }}{% if tools %}t{% endif %}{% if add_generation_prompt %}go{% endif %}", "%go"),
    ],
)
def test_what_templates_use(source: str, expected: str) -> None:
    """Templates find what transformers offers them."""
    assert ChatTemplate(source, {"bos_token": "<s>"}).prompt([{"role": "user", "content": "hi"}]) == expected


@pytest.mark.parametrize(
    "source, reason",
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0].content + 1 }}", "can only concatenate str"),
        ("{{ messages[0].content.index('z') }}", "substring not found"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "append"),
    ],
)
def test_refusals(source: str, reason: str) -> None:
    """A template that fails, refuses or tries to leave the sandbox is an error that says why."""
    with pytest.raises(TemplateRefusal) as refused:
        ChatTemplate(source, {}).prompt([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    assert reason in str(refused.value)
