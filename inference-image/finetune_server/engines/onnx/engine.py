"""Opens the ONNX engine of a verified artifact."""

from finetune_server.engines.onnx.batcher import SlotBatcher
from finetune_server.engines.onnx.decoder import OnnxDecoder
from finetune_server.engines.onnx.genai_config import read_genai_config
from finetune_server.model_directory import UnusableModel, VerifiedArtifact
from finetune_server.settings import DEFAULT_CONTEXT_LIMIT, Settings


def open_engine(artifact: VerifiedArtifact, settings: Settings) -> SlotBatcher:
    """Loads the graph and starts the batcher's thread. Raises UnusableModel."""
    config = read_genai_config(artifact.folder)
    context_length = settings.max_context or min(config.context_length, DEFAULT_CONTEXT_LIMIT)
    if context_length > config.context_length:
        raise UnusableModel(f"--max-context {context_length}: {artifact.folder} takes {config.context_length} tokens at most; ask for less")
    slots = settings.max_concurrency
    decoder = OnnxDecoder(artifact.folder, config, slots=slots, context_length=context_length, threads=settings.threads)
    return SlotBatcher(decoder, config.end_tokens, slots=slots, context_length=context_length, max_queue=settings.max_queue)
