"""A model that is ready to answer: what it is called, what it can do, and its engine."""

import time
from dataclasses import dataclass

from finetune_server.classification.classes import Classes
from finetune_server.classification.tokenizer import EncoderTokenizer
from finetune_server.engines.interface import EncoderEngine, EncoderTask, Engine, GenerationEngine
from finetune_server.engines.onnx.encoder_config import read_encoder_config
from finetune_server.engines.onnx.engine import open_encoder_engine, open_engine
from finetune_server.generation.tokenizer import Tokenizer, load_tokenizer
from finetune_server.model_directory import VerifiedArtifact, open_artifact
from finetune_server.models.prompts import open_prompts
from finetune_server.models.self_test import ask_for_a_token, ask_for_classes
from finetune_server.settings import Settings
from finetune_text.prompts import Prompts

ENCODER_TASKS: tuple[EncoderTask, ...] = ("sequence-classification", "token-classification")


@dataclass(frozen=True)
class ServedModel:
    """What all models have."""

    name: str
    created: int
    """Seconds since 1970."""
    fingerprint: str
    """The same for the same weights: OpenAI's system_fingerprint."""
    task: str
    """As the manifest says it."""
    engine: Engine


@dataclass(frozen=True)
class LanguageModel(ServedModel):
    """Continues texts and conversations."""

    engine: GenerationEngine
    tokenizer: Tokenizer
    prompts: Prompts


@dataclass(frozen=True)
class Classifier(ServedModel):
    """Names classes: of whole inputs, or of their tokens."""

    engine: EncoderEngine
    task: EncoderTask
    tokenizer: EncoderTokenizer
    classes: Classes


def load_model(settings: Settings) -> LanguageModel | Classifier:
    """Verifies, loads and tries the model that the manifest describes. Raises UnusableModel."""
    artifact = open_artifact(settings.model_dir, settings.precision)
    encoder_task = next((task for task in ENCODER_TASKS if task == artifact.manifest.task), None)
    return load_language_model(artifact, settings) if encoder_task is None else load_classifier(artifact, encoder_task, settings)


def load_language_model(artifact: VerifiedArtifact, settings: Settings) -> LanguageModel:
    """Raises UnusableModel."""
    tokenizer = load_tokenizer(artifact)
    prompts = open_prompts(artifact, tokenizer)
    engine = open_engine(artifact, settings)
    ask_for_a_token(engine, prompts)
    return LanguageModel(
        settings.served_name, int(time.time()), fingerprint_of(artifact), artifact.manifest.task, engine, Tokenizer(tokenizer), prompts
    )


def load_classifier(artifact: VerifiedArtifact, task: EncoderTask, settings: Settings) -> Classifier:
    """Raises UnusableModel."""
    config = read_encoder_config(artifact, task)
    engine = open_encoder_engine(artifact, config, settings)
    tokenizer = EncoderTokenizer(load_tokenizer(artifact), engine.context_length)
    classes = Classes(config.labels, config.multi_label)
    ask_for_classes(engine, tokenizer, classes)
    return Classifier(settings.served_name, int(time.time()), fingerprint_of(artifact), task, engine, tokenizer, classes)


def fingerprint_of(artifact: VerifiedArtifact) -> str:
    """Short for the files' digest."""
    return f"fp_{artifact.sha256[:10]}"
