"""Conversations of chatterbot-corpus: a question and its answers, in many languages."""

import functools
import tempfile
from pathlib import Path

import yaml
from folders import package_folder

CORPUS_PACKAGE = "chatterbot-corpus==1.3.3"
LANGUAGES = ("dutch", "english", "french", "german", "italian", "portuguese", "spanish")


@functools.cache
def conversations() -> dict[str, list[tuple[str, list[str]]]]:
    """Language -> the topic and the turns of each conversation, in the order of the files."""
    with tempfile.TemporaryDirectory() as temporary:
        data = package_folder(CORPUS_PACKAGE, Path(temporary)) / "data"
        return {language: read_topics(data / language) for language in LANGUAGES}


def read_topics(folder: Path) -> list[tuple[str, list[str]]]:
    """The conversations of a language's files; a file is named after its topic."""
    files = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yml"))}
    return [(topic, [str(turn).strip() for turn in turns]) for topic, file in files.items() for turns in file["conversations"]]
