"""The ONNX engine: models exported to ONNX, on ONNX Runtime."""

from finetune_api.engines import ONNX
from finetune_server.engines.encoder_config import EncoderConfig
from finetune_server.engines.interface import EncoderEngine, GenerationEngine
from finetune_server.engines.open import context_length
from finetune_server.model_directory import VerifiedModel
from finetune_server.settings import Settings


class OnnxEngine:
    """An entry of `finetune_server.engines.ENGINES`. ONNX Runtime is imported when a model is opened: another engine's image has none."""

    name = ONNX.name
    artifact = ONNX.artifact

    def open_decoder(self, model: VerifiedModel, settings: Settings) -> GenerationEngine:
        """Loads a decoder graph and starts its batcher. Raises UnusableModel."""
        from finetune_server.engines.batching.slot_batcher import SlotBatcher
        from finetune_server.engines.onnx.decoder import OnnxDecoder
        from finetune_server.engines.onnx.genai_config import read_genai_config

        config = read_genai_config(model.artifact)
        context, slots = context_length(model, settings, config.context_length), settings.max_concurrency
        decoder = OnnxDecoder(model.artifact.folder, config, slots=slots, context_length=context, threads=settings.threads)
        return SlotBatcher(decoder, config.end_tokens, slots=slots, context_length=context, max_queue=settings.max_queue)

    def open_encoder(self, model: VerifiedModel, config: EncoderConfig, settings: Settings) -> EncoderEngine:
        """Loads a classifier graph and starts its batcher. Raises UnusableModel."""
        from finetune_server.engines.batching.encoder_batcher import EncoderBatcher
        from finetune_server.engines.onnx.encoder import GRAPH_FILE, OnnxEncoder

        return EncoderBatcher(
            OnnxEncoder(model.artifact.folder / GRAPH_FILE, config, settings.threads),
            context_length=context_length(model, settings, config.context_length),
            vocabulary_size=config.vocabulary_size,
            max_running=settings.max_concurrency,
            max_queue=settings.max_queue,
        )
