"""Opens the ONNX engine of a verified artifact."""

from finetune_server.engines.batching.encoder_batcher import EncoderBatcher
from finetune_server.engines.batching.slot_batcher import SlotBatcher
from finetune_server.engines.onnx.decoder import OnnxDecoder
from finetune_server.engines.onnx.encoder import OnnxEncoder
from finetune_server.engines.onnx.encoder_config import GRAPH_FILE, EncoderConfig
from finetune_server.engines.onnx.genai_config import read_genai_config
from finetune_server.model_directory import UnusableModel, VerifiedArtifact
from finetune_server.settings import DEFAULT_CONTEXT_LIMIT, Settings


def open_engine(artifact: VerifiedArtifact, settings: Settings) -> SlotBatcher:
    """Loads a decoder's graph and starts the batcher's thread. Raises UnusableModel."""
    config = read_genai_config(artifact)
    context_length = context_of(artifact, settings, config.context_length)
    slots = settings.max_concurrency
    decoder = OnnxDecoder(artifact.folder, config, slots=slots, context_length=context_length, threads=settings.threads)
    return SlotBatcher(decoder, config.end_tokens, slots=slots, context_length=context_length, max_queue=settings.max_queue)


def open_encoder_engine(artifact: VerifiedArtifact, config: EncoderConfig, settings: Settings) -> EncoderBatcher:
    """Loads a classifier's graph and starts the batcher's thread. Raises UnusableModel."""
    return EncoderBatcher(
        OnnxEncoder(artifact.folder / GRAPH_FILE, config, settings.threads),
        context_length=context_of(artifact, settings, config.context_length),
        vocabulary_size=config.vocabulary_size,
        max_running=settings.max_concurrency,
        max_queue=settings.max_queue,
    )


def context_of(artifact: VerifiedArtifact, settings: Settings, models_own: int) -> int:
    """Tokens to serve. Raises UnusableModel when more are asked for than the model has."""
    context_length = settings.max_context or min(models_own, DEFAULT_CONTEXT_LIMIT)
    if context_length > models_own:
        raise UnusableModel(f"--max-context {context_length}: {artifact.folder} takes {models_own} tokens at most; use a smaller value")
    return context_length
