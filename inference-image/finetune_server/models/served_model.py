"""A model that is ready to answer: its name, what it can do, and its engine."""

from dataclasses import dataclass

from finetune_server.classification.classes import Classes
from finetune_server.classification.tokenizer import RequestTokenizer
from finetune_server.engines.encoder_config import EncoderTask
from finetune_server.engines.interface import EncoderEngine, Engine, GenerationEngine
from finetune_server.generation.tokenizer import Tokenizer
from finetune_text.prompts import Prompts


@dataclass(frozen=True)
class ServedModel:
    """What all models have."""

    name: str
    created: int
    """Seconds since 1970."""
    fingerprint: str
    """The same for the same weights: OpenAI's system_fingerprint."""
    task: str
    """As in the manifest."""
    engine: Engine


@dataclass(frozen=True)
class LanguageModel(ServedModel):
    """Continues texts and conversations."""

    engine: GenerationEngine
    tokenizer: Tokenizer
    prompts: Prompts


@dataclass(frozen=True)
class Encoder(ServedModel):
    """Answers inputs of which it reads all tokens at once."""

    engine: EncoderEngine
    task: EncoderTask
    tokenizer: RequestTokenizer


@dataclass(frozen=True)
class Classifier(Encoder):
    """Assigns classes to whole inputs or to their tokens."""

    classes: Classes


@dataclass(frozen=True)
class Embedder(Encoder):
    """Gives vectors to inputs."""

    dimensions: int


AnyModel = LanguageModel | Classifier | Embedder
