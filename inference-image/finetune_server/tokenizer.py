"""The model's tokenizer: text to token ids and back. A thin layer over the `tokenizers` package, without transformers."""

import json
from collections.abc import Collection
from typing import Any

from tokenizers import Tokenizer as RustTokenizer

from finetune_server.detokenizer import Detokenizer
from finetune_server.model_directory import UnusableModel, VerifiedArtifact

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


class Tokenizer:
    """Thread-safe, as the tokenizers package is."""

    def __init__(self, tokenizer: RustTokenizer, config: dict[str, Any]) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.config = config
        """tokenizer_config.json, and the special tokens that older models keep in a file of their own."""
        self.vocabulary_size = tokenizer.get_vocab_size()
        """Added tokens included."""
        self._special = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self._bytes_of_character = byte_level_alphabet() if is_byte_level(tokenizer) else None

    @property
    def special_tokens(self) -> dict[str, str]:
        """Texts of the named special tokens, as chat templates use them: {"bos_token": "<s>", ...}."""
        named = {name: self.config.get(name) for name in SPECIAL_TOKENS}
        texts = {name: value["content"] if isinstance(value, dict) else value for name, value in named.items()}
        return {name: text for name, text in texts.items() if isinstance(text, str)}

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Token ids. Texts of special tokens become these tokens; add_special_tokens puts the model's own ones around."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def decode(self, ids: list[int], kept: Collection[str] = ()) -> str:
        """The text without special tokens but those that are `kept`; incomplete characters become U+FFFD."""
        shown = [token for token in ids if self._special.get(token, "") in kept or token not in self._special]
        text: str = self._tokenizer.decode(shown, skip_special_tokens=False)
        return text

    def detokenizer(self, kept: Collection[str] = ()) -> Detokenizer:
        """A new incremental decoder."""
        return Detokenizer(lambda ids: self.decode(ids, kept))

    def token_text(self, token: int) -> str:
        """One token alone as text, special tokens too; U+FFFD where it holds part of a character."""
        text: str = self._tokenizer.decode([token], skip_special_tokens=False)
        return text

    def token_bytes(self, token: int) -> list[int]:
        """One token's own bytes: exact for byte-level tokenizers, else those of its text."""
        name = self._tokenizer.id_to_token(token) or ""
        if self._bytes_of_character is not None and all(character in self._bytes_of_character for character in name):
            return [self._bytes_of_character[character] for character in name]
        return list(self.token_text(token).encode())


def read_tokenizer(artifact: VerifiedArtifact) -> Tokenizer:
    """The tokenizer beside the graph. Raises UnusableModel."""
    config = {**read_object(artifact, SPECIAL_TOKENS_FILE), **read_object(artifact, TOKENIZER_CONFIG_FILE)}
    return Tokenizer(load_tokenizer(artifact), config)


def load_tokenizer(artifact: VerifiedArtifact) -> RustTokenizer:
    """tokenizer.json. Raises UnusableModel."""
    path = artifact.folder / TOKENIZER_FILE
    try:
        return RustTokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises plain Exception
        raise UnusableModel(f"{path}: {error}; publish the model again") from error


def read_object(artifact: VerifiedArtifact, name: str) -> dict[str, Any]:
    """A JSON file's keys that are not null; none where the artifact has no such file. Raises UnusableModel."""
    path = artifact.optional_file(name)
    try:
        return {key: value for key, value in json.loads(path.read_text()).items() if value is not None} if path else {}
    except (ValueError, AttributeError) as error:
        raise UnusableModel(f"{path}: {error}; publish the model again") from error


def is_byte_level(tokenizer: RustTokenizer) -> bool:
    """True when each character of a token's name stands for one byte."""
    decoder = json.loads(tokenizer.to_str()).get("decoder") or {}
    return any(part.get("type") == "ByteLevel" for part in (decoder, *decoder.get("decoders", [])))


def byte_level_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 characters stand for their own byte, the other bytes for U+0100 and up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
