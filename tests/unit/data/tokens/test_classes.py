"""Rows of the classification tasks as token ids and labels."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel
from tokenizers.processors import TemplateProcessing

from finetune_trainer.data.tokens.classes import ClassEncoder
from finetune_trainer.data.tokens.encoded import Classified
from finetune_trainer.tasks import TASKS, SequenceTask, TokenTask
from finetune_trainer.tasks.rows import Row
from finetune_trainer.tasks.sequence_classification import TextLabel
from finetune_trainer.tasks.token_classification import TokenTags

PIECES = ["[UNK]", "[CLS]", "[SEP]", "a", "b", "##b", "c", "'", "mul", "##ler"]


def word_pieces() -> Tokenizer:
    """As BERT's, with padding and truncation left over from another use."""
    tokenizer = Tokenizer(WordPiece({piece: index for index, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    special = [("[CLS]", 1), ("[SEP]", 2)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    return tokenizer


def byte_pairs() -> Tokenizer:
    """As RoBERTa's: a token may begin with the space before a word."""
    characters = {char: index for index, char in enumerate(sorted(ByteLevel.alphabet()))}
    merges = [("Ġ", "a"), ("a", "b")]
    tokenizer = Tokenizer(BPE(characters | {"Ġa": 256, "ab": 257}, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return tokenizer


def encode(row: Row, labels: str, task: str, tokenizer: Tokenizer | None = None) -> Classified:
    """One row's example; `labels` are named by letters."""
    known = TASKS[task]
    assert isinstance(known, SequenceTask | TokenTask)
    (example,) = ClassEncoder(tokenizer or word_pieces(), labels, known).encode([("line 1", row)])
    assert isinstance(example, Classified)
    return example


@pytest.mark.parametrize(
    "row, pieces, types, labels",
    [
        (TextLabel("a Bb", "N"), "[CLS] a b ##b [SEP]", "00000", [0]),
        (TextLabel("a", "P", "b c"), "[CLS] a [SEP] b c [SEP]", "000111", [1]),
        (TextLabel("a", ["N", "P"]), "[CLS] a [SEP]", "000", [0, 1]),
        (TextLabel("a", []), "[CLS] a [SEP]", "000", []),
    ],
    ids=["text", "pair", "several labels", "no label"],
)
def test_a_text_has_the_tokenizer_s_special_tokens(row: TextLabel, pieces: str, types: str, labels: list[int]) -> None:
    """In full length, whatever truncation and padding the tokenizer's file asks for."""
    example = encode(row, "NP", "sequence-classification")
    assert [PIECES[token] for token in example.input_ids] == pieces.split()
    assert "".join(map(str, example.token_type_ids)) == types
    assert example.labels.tolist() == labels


@pytest.mark.parametrize(
    "tokens, pieces, labels",
    [
        (["a", "bb"], "[CLS] a b ##b [SEP]", ". N O . ."),
        (["Müller", "'", "a'c"], "[CLS] mul ##ler ' a ' c [SEP]", ". N . O N . . ."),
        (["a", "\u200b", "\u0301", "b"], "[CLS] a b [SEP]", ". N O ."),
        (["a b", "c"], "[CLS] a b c [SEP]", ". N . O ."),
    ],
    ids=["sub-tokens", "punctuation", "words without a token", "a word with a space"],
)
def test_the_first_sub_token_of_a_word_has_its_tag(tokens: list[str], pieces: str, labels: str) -> None:
    """Special tokens and the rest of a word have none; a word that gives no token is passed over."""
    tags: list[str | None] = ["N" if index % 2 == 0 else "O" for index in range(len(tokens))]
    example = encode(TokenTags(tokens, tags), "NO", "token-classification")
    assert [PIECES[token] for token in example.input_ids] == pieces.split()
    assert [".NO"[label + 1 if label >= 0 else 0] for label in example.labels] == labels.split()


def test_nothing_is_learnt_of_a_word_with_no_tag() -> None:
    """Neither at its first token nor at another."""
    example = encode(TokenTags(["a", "bb", "b"], ["N", None, "O"]), "NO", "token-classification")
    assert [PIECES[token] for token in example.input_ids] == ["[CLS]", "a", "b", "##b", "b", "[SEP]"]
    assert example.labels.tolist() == [-100, 0, -100, -100, 1, -100]


def test_a_token_that_begins_with_a_space_is_of_the_word_after_it() -> None:
    """Byte-level tokenizers write " a" as one token."""
    example = encode(TokenTags(["ab", "a", "ac"], ["O", "N", "O"]), "NO", "token-classification", byte_pairs())
    assert example.labels.tolist() == [1, 0, 1, -100]
    assert example.input_ids.tolist()[:2] == [257, 256]
