"""What a language model is asked: a request's messages or text to token ids. Server, trainer and the check between them call this."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from tokenizers import Tokenizer

from finetune_text.chat_template import ChatTemplate
from finetune_text.prompt_tokenizer import PromptTokenizer
from finetune_text.tokenizer_files import read_tokenizer_files
from finetune_text.tool_form import MessageObject


class Prompts:
    """A model's tokenizer and its chat template, if it has one."""

    def __init__(self, tokens: PromptTokenizer, template: ChatTemplate | None) -> None:
        self.tokens = tokens
        self.template = template

    def conversation(self, messages: Sequence[MessageObject], tools: Sequence[MessageObject] | None = None) -> str:
        """Messages and tools as in OpenAI's API, up to where the assistant begins; for `tokens.chat`. Raises TemplateRefusal."""
        assert self.template is not None, "who asks has looked whether there is one"
        return self.template.prompt(messages, tools)

    def chat(self, messages: Sequence[MessageObject], tools: Sequence[MessageObject] | None = None) -> list[int]:
        """The conversation's ids. Raises TemplateRefusal."""
        return self.tokens.chat(self.conversation(messages, tools))

    def text(self, prompt: str) -> list[int]:
        """A plain prompt, with the tokenizer's own first token."""
        return self.tokens.text(prompt)


def read_prompts(folder: Path, tokenizer: Tokenizer, clock: Callable[[], datetime] = datetime.now) -> Prompts:
    """Of a folder with a model's tokenizer files. Raises UnreadableFile and InvalidTemplate."""
    files, tokens = read_tokenizer_files(folder), PromptTokenizer(tokenizer)
    template = None if files.chat_template is None else ChatTemplate(files.chat_template, files.special_tokens, tokens.control, clock)
    return Prompts(tokens, template)
