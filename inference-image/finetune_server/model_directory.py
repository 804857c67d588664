"""Opens a model directory (`finetune_api.model_directory`): nothing is loaded before its checksum was verified."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from finetune_api import CONTRACT_VERSION
from finetune_api.model_directory import MANIFEST_FILE, Artifact, File, Manifest, is_inside, unlisted


class UnusableModel(Exception):
    """The model directory cannot be served. The message names the file and what to do next."""


@dataclass(frozen=True)
class VerifiedArtifact:
    """The ONNX artifact of a model directory, every file as publish wrote it."""

    folder: Path
    manifest: Manifest
    sha256: str
    files: frozenset[str]
    """Paths that were verified, relative to `folder`."""

    def optional_file(self, name: str) -> Path | None:
        """A verified file of the artifact, or None when it has none of that name."""
        return self.folder / name if name in self.files else None


def open_artifact(directory: Path, precision: str) -> VerifiedArtifact:
    """Verifies and returns the ONNX artifact of that precision. Raises UnusableModel."""
    manifest = read_manifest(directory)
    artifact = manifest.artifact("onnx", precision)
    if artifact is None:
        found = ", ".join(f"{a.format} {a.precision}" for a in manifest.artifacts) or "none"
        raise UnusableModel(
            f"{directory / MANIFEST_FILE}: there is no artifact onnx {precision} (found: {found}); "
            f"train with export.onnx.precisions containing {precision}, or serve another precision"
        )
    for file in artifact.files:
        verify_file(directory, artifact, file)
    refuse_unlisted_files(directory, artifact)
    files = frozenset(PurePosixPath(file.path).relative_to(artifact.path).as_posix() for file in artifact.files)
    return VerifiedArtifact(directory / artifact.path, manifest, artifact.sha256, files)


def read_manifest(directory: Path) -> Manifest:
    """Reads MANIFEST.json. Raises UnusableModel when it is absent, broken or of another contract version."""
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
    """Raises UnusableModel unless the file lies in the artifact's folder and is the one that was published."""
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
    """Raises UnusableModel for a file that was added to the artifact's folder: it could be loaded without a checksum."""
    found = (path.relative_to(directory).as_posix() for path in sorted((directory / artifact.path).rglob("*")) if path.is_file())
    for path in unlisted(found, {file.path for file in artifact.files}):
        raise UnusableModel(f"{directory / path}: {MANIFEST_FILE} does not list it; remove it, or publish the model again")
