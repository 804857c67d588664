"""What each learner asks of a task's rows. A task inherits from one of these four and says no more about training.

A language model learns an answer to a prompt, token by token. A classifier is an encoder: it learns the labels of a whole text, or
the tag of each word. An embedding model is an encoder that learns vectors of texts, close for those that belong together.
"""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from finetune_api.metrics import CLASSIFIER_METRICS, LANGUAGE_METRICS, RETRIEVAL_METRICS, SIMILARITY_METRICS
from finetune_trainer.tasks.conversation import Conversation, Message
from finetune_trainer.tasks.layouts.forms import Form, Records, preference, rated, spans
from finetune_trainer.tasks.task import LearnerName, Task

AUTO_CLASSES: dict[LearnerName, str] = {
    "language": "AutoModelForCausalLM",
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "embedding": "AutoModel",
}
"""The class of transformers that loads the model of each learner."""


MULTI_LABEL = "multi-label"
"""The variant of a file whose rows have lists of labels."""
SCORED = "scored"
"""The variant of a file whose rows have scores of similarity."""


class LanguageTask(Task):
    """Rows of prompts and answers, as conversations or as texts."""

    learner: Literal["language"] = "language"
    metrics = LANGUAGE_METRICS
    pipeline: ClassVar[str] = "text-generation"
    """Name of the Hugging Face hub for what the model does."""
    prompting: Literal["chat", "chat or text", "text"] = "text"
    """Whether rows go through the base's chat template: always (with a plain one where the base has none), where it has one, never."""
    tools: bool = False
    """Rows may offer and call tools, so that the chat template must know them."""
    answer_fields: tuple[str, str] = ("prompt", "completion")
    """Of prompt and answer, to propose columns for rows of preferences."""

    def conversation(self, row: Any, *, instructed: bool = False) -> Conversation:
        """The row for a chat template. `instructed`: the prompt is a template's, so it is the whole message already."""
        prompt, answer = self.texts(row, instructed=instructed)
        return Conversation([Message("user", prompt), Message("assistant", answer)])

    def texts(self, row: Any, *, instructed: bool = False) -> tuple[str, str]:
        """Prompt and answer of the row for a model without a chat template."""
        raise NotImplementedError

    def text(self, row: Any) -> str:
        """Prompt and answer."""
        return "\n".join(self.texts(row, instructed=True))

    def without_template(self) -> str:
        """What a prompt is for a base without a chat template, where that is worth a note."""
        return ""

    def request(self, *, chat: bool) -> tuple[str, str]:
        """A prompt as the published model expects it, and a sentence about it, for the model card."""
        return "<the prompt>", "The prompt is passed to the model unchanged, without a chat template:"

    def refused(self, keys: Any, first: Records) -> Form | None:
        """Preferences and ratings as well."""
        return preference(self.answer_fields, keys, first, chat=self.prompting == "chat") or rated(keys, first) or spans(keys, first)


class SequenceTask(Task):
    """Rows of texts, or of pairs of texts, with their labels."""

    learner: Literal["sequence"] = "sequence"
    metrics = CLASSIFIER_METRICS
    pipeline: ClassVar[str] = "text-classification"
    endpoint: ClassVar[str] = "/v1/classify"

    @abstractmethod
    def input(self, row: Any) -> str | tuple[str, str]:
        """What is classified, as a request says it: a text, or two."""

    @abstractmethod
    def labels(self, row: Any) -> tuple[str, ...]:
        """All labels that hold, sorted: one, or any number where the file is multi-label."""

    def text(self, row: Any) -> str:
        """The text, or both."""
        texts = self.input(row)
        return texts if isinstance(texts, str) else "\n".join(texts)


class TokenTask(Task):
    """Rows of words with a tag each."""

    learner: Literal["token"] = "token"
    metrics = CLASSIFIER_METRICS
    pipeline: ClassVar[str] = "token-classification"
    endpoint: ClassVar[str] = "/v1/token-classify"

    @abstractmethod
    def input(self, row: Any) -> list[str]:
        """The words."""

    @abstractmethod
    def tags(self, row: Any) -> list[str | None]:
        """The tag of each word; None where nothing is learned."""

    def labels(self, row: Any) -> tuple[str, ...]:
        """The tags of a row, each once, sorted."""
        return tuple(sorted({tag for tag in self.tags(row) if tag is not None}))

    def text(self, row: Any) -> str:
        """The words."""
        return " ".join(self.input(row))


class EmbeddingTask(Task):
    """Rows of two or three texts: one, another that belongs to it, and maybe one that does not; or two with a score."""

    learner: Literal["embedding"] = "embedding"
    metrics = (*RETRIEVAL_METRICS, *SIMILARITY_METRICS)
    pipeline: ClassVar[str] = "sentence-similarity"
    endpoint: ClassVar[str] = "/v1/embeddings"

    @abstractmethod
    def texts(self, row: Any) -> tuple[str, ...]:
        """Anchor, positive, and the negative if the row has one."""

    @abstractmethod
    def score(self, row: Any) -> float | None:
        """Cosine similarity that anchor and positive should have; None: the positive is to be closer than all other texts."""

    def text(self, row: Any) -> str:
        """All of them."""
        return "\n".join(self.texts(row))


ClassificationTask = SequenceTask | TokenTask
