"""The model's tokenizer: token ids to text. A thin layer over the `tokenizers` package; finetune_text makes the ids of texts."""

import json
from collections.abc import Collection

from tokenizers import Tokenizer as RustTokenizer

from finetune_server.generation.detokenizer import Detokenizer


class Tokenizer:
    """Thread-safe, as the tokenizers package is."""

    def __init__(self, tokenizer: RustTokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocabulary_size = tokenizer.get_vocab_size()
        """Added tokens included."""
        self.longest_token = max(map(len, tokenizer.get_vocab()), default=1)
        """Characters, at least as many as a token of a text can stand for."""
        self._special = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self._bytes_of_character = byte_level_alphabet() if is_byte_level(tokenizer) else None

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


def is_byte_level(tokenizer: RustTokenizer) -> bool:
    """True when each character of a token's name stands for one byte."""
    decoder = json.loads(tokenizer.to_str()).get("decoder") or {}
    return any(part.get("type") == "ByteLevel" for part in (decoder, *decoder.get("decoders", [])))


def byte_level_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 characters stand for their own byte, the other bytes for U+0100 and up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
