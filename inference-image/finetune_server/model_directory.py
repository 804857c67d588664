"""Opens a model directory (`finetune_api.model_directory`): no file is loaded before its checksum has been verified."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from finetune_api import CONTRACT_VERSION
from finetune_api.model_directory import MANIFEST_FILE, Artifact, File, Manifest, is_inside, unlisted

TOKENIZER_FILE = "tokenizer.json"


class UnusableModel(Exception):
    """The model directory cannot be served. The message names the file and the next step."""


@dataclass(frozen=True)
class VerifiedArtifact:
    """One artifact of a model directory; its files are those that publish wrote."""

    folder: Path
    sha256: str
    files: frozenset[str]
    """Paths that were verified, relative to `folder`."""

    def optional_file(self, name: str) -> Path | None:
        """A verified file of the artifact, or None if there is none with that name."""
        return self.folder / name if name in self.files else None


@dataclass(frozen=True)
class VerifiedModel:
    """The part of a model directory that is served."""

    manifest: Manifest
    artifact: VerifiedArtifact
    """What the engine loads."""
    tokenizer: VerifiedArtifact
    """Where tokenizer.json, the chat template and a classifier's config.json are: usually beside the weights."""


def open_model_directory(directory: Path, artifact_format: str, precision: str) -> VerifiedModel:
    """Verifies the artifact of that format and precision, and the one with its tokenizer. Raises UnusableModel."""
    manifest = read_manifest(directory)
    found = manifest.artifact(artifact_format, precision)
    if found is None:
        others = ", ".join(f"{a.format} {a.precision}" for a in manifest.artifacts) or "none"
        raise UnusableModel(
            f"{directory / MANIFEST_FILE}: there is no artifact {artifact_format} {precision} (found: {others}); "
            f"export the model as {artifact_format} {precision}, or serve it with another engine or precision"
        )
    artifact = verify_artifact(directory, found)
    if TOKENIZER_FILE in artifact.files:
        return VerifiedModel(manifest, artifact, artifact)
    beside = next((a for a in manifest.artifacts if any(file.path == f"{a.path}/{TOKENIZER_FILE}" for file in a.files)), None)
    return VerifiedModel(manifest, artifact, artifact if beside is None else verify_artifact(directory, beside))


def verify_artifact(directory: Path, artifact: Artifact) -> VerifiedArtifact:
    """Raises UnusableModel unless the artifact's folder holds the files of the manifest and no others."""
    for file in artifact.files:
        verify_file(directory, artifact, file)
    refuse_unlisted_files(directory, artifact)
    files = frozenset(PurePosixPath(file.path).relative_to(artifact.path).as_posix() for file in artifact.files)
    return VerifiedArtifact(directory / artifact.path, artifact.sha256, files)


def read_manifest(directory: Path) -> Manifest:
    """Reads MANIFEST.json. Raises UnusableModel if it is missing, invalid or of another contract version."""
    path = directory / MANIFEST_FILE
    try:
        text = path.read_text()
    except OSError as error:
        raise UnusableModel(
            f"{path}: {error.strerror}; publish writes it last, so without it this is not a finished model: "
            "check --model-dir and the mounted volume, or run the publish stage again"
        ) from error
    try:
        version = json.loads(text)["contractVersion"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableModel(f"{path}: not a manifest ({type(error).__name__}: {error}); run the publish stage again") from error
    if version != CONTRACT_VERSION:
        raise UnusableModel(
            f"{path}: contractVersion is {version}, and this server reads {CONTRACT_VERSION}; "
            "use the server image of the release that published the model, or publish it again"
        )
    try:
        return Manifest.from_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UnusableModel(f"{path}: {field}: {first['msg']}; run the publish stage again") from error


def verify_file(directory: Path, artifact: Artifact, file: File) -> None:
    """Raises UnusableModel unless the file is in the artifact's folder and has the published size and checksum."""
    if not is_inside(file.path, artifact.path):
        raise UnusableModel(f"{directory / MANIFEST_FILE}: file {file.path!r} is not below {artifact.path!r}; run the publish stage again")
    path = directory / file.path
    advice = "the model's files were damaged or replaced: restore them, or publish the model again"
    try:
        with path.open("rb") as stream:
            size, found = path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UnusableModel(f"{path}: {error.strerror}, but {MANIFEST_FILE} lists it; {advice}") from error
    if size != file.size_bytes:
        raise UnusableModel(f"{path}: {size} bytes, but {MANIFEST_FILE} says {file.size_bytes}; {advice}")
    if found != file.sha256:
        raise UnusableModel(f"{path}: sha256 is {found}, but {MANIFEST_FILE} says {file.sha256}; {advice}")


def refuse_unlisted_files(directory: Path, artifact: Artifact) -> None:
    """Raises UnusableModel for a file that was added to the artifact's folder: it might be loaded without verification."""
    found = (path.relative_to(directory).as_posix() for path in sorted((directory / artifact.path).rglob("*")) if path.is_file())
    for path in unlisted(found, {file.path for file in artifact.files}):
        raise UnusableModel(f"{directory / path}: {MANIFEST_FILE} does not list it; remove it, or publish the model again")
