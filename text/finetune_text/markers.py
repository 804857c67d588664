"""Which special tokens end an answer."""

from collections.abc import Collection
from dataclasses import dataclass

from tokenizers import Tokenizer

from finetune_text.chat_template import ChatTemplate, TemplateRefusal


@dataclass(frozen=True)
class Markers:
    """Texts of special tokens."""

    all: tuple[str, ...]
    """What a turn may end with: every special token."""
    stops: tuple[str, ...] = ()
    """Those that the model's configuration says end an answer."""
    added: tuple[str, ...] = ()
    """Every token that the tokenizer finds before it splits a text, special or not."""
    end: str = ""
    """What ends an answer where the template writes no end: the end-of-text token."""

    def trim(self, said: str) -> str:
        """Cuts what follows an end-of-turn marker and white space: ChatML's line end, Phi 3's end of the whole text.

        A model never has to say it. Without a marker the white space itself ends the turn and stays.
        """
        stripped = said.rstrip()
        if not stripped.endswith(self.all):
            return said
        while True:
            last = max((marker for marker in self.all if stripped.endswith(marker)), key=len)
            before = stripped[: -len(last)]
            if before == before.rstrip() or not before.rstrip().endswith(self.all):
                return stripped
            stripped = before.rstrip()

    def stop_at(self, text: str, position: int) -> str:
        """The stop token that stands at a position: some templates end an answer with the token that begins the next turn."""
        return next((stop for stop in self.stops if text.startswith(stop, position)), "")

    def end_of_turn(self, template: ChatTemplate) -> str:
        """The marker that the template ends an answer with; empty where it ends it with ordinary text."""
        try:
            text = self.trim(template.render([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]))
        except TemplateRefusal:
            return ""
        return max((marker for marker in self.all if text.endswith(marker)), key=len, default="")


def markers_of(tokenizer: Tokenizer, end: str, eos_token_ids: Collection[int]) -> Markers:
    """By the tokenizer, its end-of-text token and the model's configuration."""
    added = tokenizer.get_added_tokens_decoder()
    special = {token.content for token in added.values() if token.special} | {end}
    stops = {added[index].content for index in eos_token_ids if index in added} | {end}
    every = {token.content for token in added.values()} | special
    parts = [tuple(sorted(filter(str.strip, texts))) for texts in (special, stops, every)]
    return Markers(parts[0], parts[1], parts[2], end)
