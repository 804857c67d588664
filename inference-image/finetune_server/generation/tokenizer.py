"""Token ids to text, with the `tokenizers` package. Text to token ids is in finetune_text."""

import json
from collections.abc import Collection

from tokenizers import Tokenizer as RustTokenizer

from finetune_server.generation.detokenizer import Detokenizer


class Tokenizer:
    """Thread-safe, as the tokenizers package is."""

    def __init__(self, tokenizer: RustTokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocabulary_size = tokenizer.get_vocab_size()
        """Including added tokens."""
        self.longest_token = max(map(len, tokenizer.get_vocab()), default=1)
        """In characters: an upper bound for the text of one token."""
        self._special = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self._bytes_of_character = byte_level_alphabet() if is_byte_level(tokenizer) else None

    def decode(self, ids: list[int], kept: Collection[str] = ()) -> str:
        """The text without special tokens except `kept` ones; incomplete characters become U+FFFD."""
        shown = [token for token in ids if self._special.get(token, "") in kept or token not in self._special]
        text: str = self._tokenizer.decode(shown, skip_special_tokens=False)
        return text

    def detokenizer(self, kept: Collection[str] = ()) -> Detokenizer:
        """A new incremental decoder."""
        return Detokenizer(lambda ids: self.decode(ids, kept))

    def token_text(self, token: int) -> str:
        """The text of one token, also of a special one; U+FFFD for a part of a character."""
        text: str = self._tokenizer.decode([token], skip_special_tokens=False)
        return text

    def token_bytes(self, token: int) -> list[int]:
        """The bytes of one token: exact for byte-level tokenizers, otherwise those of its text."""
        name = self._tokenizer.id_to_token(token) or ""
        if self._bytes_of_character is not None and all(character in self._bytes_of_character for character in name):
            return [self._bytes_of_character[character] for character in name]
        return list(self.token_text(token).encode())


def is_byte_level(tokenizer: RustTokenizer) -> bool:
    """True if each character of a token's name represents one byte."""
    decoder = json.loads(tokenizer.to_str()).get("decoder") or {}
    return any(part.get("type") == "ByteLevel" for part in (decoder, *decoder.get("decoders", [])))


def byte_level_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 characters represent their own byte; the other bytes are mapped to U+0100 and up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
