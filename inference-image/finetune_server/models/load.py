"""From program arguments to a model that has answered a test request. Knows no engine: `finetune_server.engines.ENGINES` does."""

import time

from tokenizers import Tokenizer as RustTokenizer

from finetune_server.classification.classes import Classes
from finetune_server.classification.tokenizer import RequestTokenizer
from finetune_server.engines import ENGINES
from finetune_server.engines.encoder_config import EncoderTask, read_encoder_config
from finetune_server.engines.open import EngineType
from finetune_server.generation.tokenizer import Tokenizer
from finetune_server.model_directory import TOKENIZER_FILE, UnusableModel, VerifiedArtifact, VerifiedModel, open_model_directory
from finetune_server.models.self_test import ask_for_a_token, ask_for_a_vector, ask_for_classes
from finetune_server.models.served_model import AnyModel, Classifier, Embedder, LanguageModel
from finetune_server.settings import Settings
from finetune_text.chat_template import InvalidTemplate
from finetune_text.prompts import Prompts, read_prompts
from finetune_text.tokenizer_files import UnreadableFile

ENCODER_TASKS: tuple[EncoderTask, ...] = ("sequence-classification", "token-classification", "text-embedding")


def load_model(settings: Settings) -> AnyModel:
    """Verifies, loads and tests the model that the manifest describes. Raises UnusableModel."""
    engine_type = find_engine(settings.engine)
    model = open_model_directory(settings.model_dir, engine_type.artifact, settings.precision)
    encoder_task = next((task for task in ENCODER_TASKS if task == model.manifest.task), None)
    if encoder_task is None:
        return load_language_model(engine_type, model, settings)
    return load_encoder(engine_type, model, encoder_task, settings)


def find_engine(name: str) -> EngineType:
    """Raises UnusableModel for an engine that this image does not have."""
    try:
        return ENGINES[name]
    except KeyError as error:
        raise UnusableModel(f"--engine: {error.args[0]}; use another engine, or the image that has it") from error


def load_language_model(engine_type: EngineType, model: VerifiedModel, settings: Settings) -> LanguageModel:
    """Raises UnusableModel."""
    tokenizer = load_tokenizer(model.tokenizer)
    prompts = load_prompts(model.tokenizer, tokenizer)
    engine = engine_type.open_decoder(model, settings)
    ask_for_a_token(engine, prompts)
    return LanguageModel(
        settings.served_name, int(time.time()), fingerprint_of(model), model.manifest.task, engine, Tokenizer(tokenizer), prompts
    )


def load_encoder(engine_type: EngineType, model: VerifiedModel, task: EncoderTask, settings: Settings) -> Classifier | Embedder:
    """Raises UnusableModel."""
    config = read_encoder_config(model, task)
    engine = engine_type.open_encoder(model, config, settings)
    tokenizer = RequestTokenizer(load_tokenizer(model.tokenizer), engine.context_length)
    common = (settings.served_name, int(time.time()), fingerprint_of(model))
    if task == "text-embedding":
        ask_for_a_vector(engine, tokenizer, config.dimensions)
        return Embedder(*common, task, engine, tokenizer, config.dimensions)
    classes = Classes(config.labels, config.multi_label)
    ask_for_classes(engine, tokenizer, classes)
    return Classifier(*common, task, engine, tokenizer, classes)


def load_tokenizer(artifact: VerifiedArtifact) -> RustTokenizer:
    """tokenizer.json. Raises UnusableModel."""
    path = artifact.folder / TOKENIZER_FILE
    try:
        return RustTokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises plain Exception
        raise UnusableModel(f"{path}: {error}; publish the model again") from error


def load_prompts(artifact: VerifiedArtifact, tokenizer: RustTokenizer) -> Prompts:
    """With the chat template beside the tokenizer or in tokenizer_config.json, if there is one. Raises UnusableModel."""
    try:
        return read_prompts(artifact.folder, tokenizer)
    except UnreadableFile as error:
        raise UnusableModel(f"{artifact.folder}/{error}; publish the model again") from error
    except InvalidTemplate as error:
        raise UnusableModel(f"{artifact.folder}: chat template: {error}; correct it and publish the model again") from error


def fingerprint_of(model: VerifiedModel) -> str:
    """A short form of the digest of the weights' files."""
    return f"fp_{model.artifact.sha256[:10]}"
