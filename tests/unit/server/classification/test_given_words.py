"""Words that are given instead of a text: tokens and words must be those that the trainer has learnt from."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from finetune_server.classification.tokenizer import RequestTokenizer
from finetune_trainer.data.tokens.classes import ClassEncoder
from finetune_trainer.data.tokens.encoded import Classified
from finetune_trainer.tasks.token_classification import TokenClassificationTask, TokenTags

pytestmark = pytest.mark.unit

WORDS = ["Jürgen", "lives", "\u200b", "in", "New York", "😀", "."]


def byte_level(*, prefix: bool) -> Tokenizer:
    """As RoBERTa and ModernBERT have it: a word's first token holds the space before it."""
    letters = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("Ġ", "l"), ("Ġ", "i"), ("l", "i")]
    vocabulary = letters | {"".join(pair): len(letters) + index for index, pair in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def word_pieces() -> Tokenizer:
    """As BERT has it: control characters go."""
    vocabulary = {"[UNK]": 0, "lives": 1, "in": 2, "New": 3, "york": 4, ".": 5, "j": 6, "##urgen": 7}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def sentence_pieces() -> Tokenizer:
    """As XLM-RoBERTa has it: a space is a letter of the word behind it."""
    pieces = [("<unk>", 0.0), ("▁", -2.0), ("▁lives", -1.0), ("▁in", -1.0), ("▁New", -1.0), ("ü", -3.0), ("r", -3.0), ("J", -3.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


TOKENIZERS = {
    "byte-level": byte_level(prefix=False),
    "byte-level with a prefix": byte_level(prefix=True),
    "word pieces": word_pieces(),
    "sentence pieces": sentence_pieces(),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_first_token_of_a_word_is_the_one_that_was_labelled(name: str) -> None:
    """The same ids, and of each word the same token, which is the only one that the model was taught."""
    trainer = ClassEncoder(TOKENIZERS[name], [str(place) for place in range(len(WORDS))], TokenClassificationTask())
    (example,) = trainer.encode([("row 1", TokenTags(WORDS, [str(place) for place in range(len(WORDS))]))])
    assert isinstance(example, Classified)
    (found,) = RequestTokenizer(TOKENIZERS[name], 512).encode([WORDS], truncate=False, tokens=True)
    assert list(found.row.ids) == example.input_ids.tolist()
    first = {token.word: token.position for token in reversed(found.tokens) if token.word is not None}
    labelled = {label: place for place, label in enumerate(example.labels.tolist()) if label >= 0}
    assert first == labelled
    assert len(first) >= len(WORDS) - 1
