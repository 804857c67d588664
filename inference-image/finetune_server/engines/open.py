"""How an engine is opened: what each entry of `finetune_server.engines.ENGINES` has."""

from typing import Protocol

from finetune_server.engines.encoder_config import EncoderConfig
from finetune_server.engines.interface import EncoderEngine, GenerationEngine
from finetune_server.model_directory import UnusableModel, VerifiedModel
from finetune_server.settings import DEFAULT_CONTEXT_LIMIT, Settings


class EngineType(Protocol):
    """One way to run models. It is imported in every server: import its libraries when a model is opened."""

    @property
    def name(self) -> str:
        """As --engine takes it."""
        ...

    @property
    def artifact(self) -> str:
        """Format of the artifact that it loads, as the manifest has it."""
        ...

    def open_decoder(self, model: VerifiedModel, settings: Settings) -> GenerationEngine:
        """Loads a language model and starts to take requests. Raises UnusableModel."""
        ...

    def open_encoder(self, model: VerifiedModel, config: EncoderConfig, settings: Settings) -> EncoderEngine:
        """Loads a classifier and starts to take requests. Raises UnusableModel."""
        ...


def context_length(model: VerifiedModel, settings: Settings, models_own: int) -> int:
    """Tokens to serve of a model that can take `models_own`. Raises UnusableModel if --max-context is larger."""
    length = settings.max_context or min(models_own, DEFAULT_CONTEXT_LIMIT)
    if length > models_own:
        raise UnusableModel(f"--max-context {length}: {model.artifact.folder} takes {models_own} tokens at most; use a smaller value")
    return length
