"""Verifies a model directory against its manifest and reports its content."""

from pathlib import Path

from pydantic import ValidationError

from finetune_api import CONTRACT_VERSION
from finetune_api.model_directory import (
    MANIFEST_FILE,
    File,
    Manifest,
    PublishedCheckpoint,
    checkpoint_folder,
    files_digest,
    is_inside,
    unlisted,
)
from finetune_api.result import InspectSummary, StageResult
from finetune_trainer.artifacts import ARTIFACTS
from finetune_trainer.failure import StageFailure, explain, invalid
from finetune_trainer.stage import interruption
from finetune_trainer.stage.stage import report
from finetune_trainer.workspace.files import sha256_of, walk

DETAILS = 20
"""Findings that are reported at most."""
RESTORE = "restore the file or train the model again"


def inspect_model(model_dir: str) -> int:
    """Reads every byte of the directory; prints the result as JSON and returns the exit code."""
    try:
        result = StageResult(stage="inspect", inspect=verified_summary(Path(model_dir)))
        interruption.last_check()
    except BaseException as exc:
        interruption.close()
        failure = explain(exc)
        result = StageResult(stage="inspect", exit_code=failure.exit_code, error=failure.error)
    print(result.to_json(indent=2), flush=True)
    return report(result)


def verified_summary(root: Path) -> InspectSummary:
    """The content of the manifest; raises StageFailure when the files differ from it."""
    path = root / MANIFEST_FILE
    manifest = read_manifest(path)
    findings = list(check_files(root, manifest))
    if findings:
        raise findings[0] if len(findings) == 1 else several(findings)
    lineage = manifest.lineage
    return InspectSummary(
        task=manifest.task,
        type=manifest.type,
        base=lineage.base if lineage else "",
        artifacts=[artifact.model_copy(update={"files": []}) for artifact in manifest.artifacts],
        missing_artifacts=manifest.missing_artifacts,
        step=manifest.step,
        checkpoints=manifest.checkpoints,
        size_bytes=manifest.size_bytes,
        evaluation=manifest.evaluation,
        job=lineage.job if lineage else "",
        spec_digest=lineage.spec_digest if lineage else "",
        dataset_digest=lineage.dataset_digest if lineage else "",
        manifest_sha256=sha256_of(path),
    )


def read_manifest(path: Path) -> Manifest:
    """Raises StageFailure for a manifest that is absent, broken, or of another contract version."""
    try:
        manifest = Manifest.from_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise invalid(
            "ManifestNotFound",
            f"{path} does not exist: the folder holds no model that finetune-operator wrote, or its publish stage has not finished",
        ) from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the document"
        raise invalid("InvalidManifest", f"{path}: {field}: {first['msg']}: publish the model again") from exc
    if manifest.contract_version != CONTRACT_VERSION:
        raise invalid(
            "UnsupportedContractVersion",
            f"{path} is of contract version {manifest.contract_version}, this image supports {CONTRACT_VERSION}: "
            "use an image of the version that wrote it",
        )
    return manifest


def check_files(root: Path, manifest: Manifest) -> list[StageFailure]:
    """Every way in which the directory differs from its manifest."""
    unsafe = [file.path for file in manifest.files if not is_inside(file.path)]
    if unsafe:
        return [invalid("InvalidManifest", f"{MANIFEST_FILE} lists {unsafe[0]!r}, which is not a path below the model directory")]
    findings = [finding for file in manifest.files if (finding := check_file(root, file)) is not None]
    for artifact in manifest.artifacts:
        if files_digest(artifact.files) != artifact.sha256:
            findings.append(
                invalid("ChecksumMismatch", f"the sha256 of {artifact.path} in {MANIFEST_FILE} is not that of the files listed for it")
            )
        findings += unlisted_files(root, artifact.path, {file.path for file in artifact.files})
    findings += [finding for checkpoint in manifest.checkpoints for finding in check_checkpoint(root, checkpoint)]
    return findings or check_artifacts(root, manifest)


def check_checkpoint(root: Path, checkpoint: PublishedCheckpoint) -> list[StageFailure]:
    """Every way in which the directory of a checkpoint differs from its own manifest, or that from the model's."""
    folder = checkpoint_folder(checkpoint.step)
    path = root / folder / MANIFEST_FILE
    if path.is_file() and checkpoint.manifest_sha256 not in (None, sha256_of(path)):
        return [invalid("ChecksumMismatch", f"{folder}/{MANIFEST_FILE} is not the one that {MANIFEST_FILE} lists: {RESTORE}")]
    try:
        found = check_files(root / folder, read_manifest(path))
    except StageFailure as failure:
        return [failure]
    return [invalid(finding.error.code, f"{folder}: {finding}") for finding in found]


def check_artifacts(root: Path, manifest: Manifest) -> list[StageFailure]:
    """What is wrong with artifacts although their checksums are right; of those that this image does not know, nothing."""
    known = [ARTIFACTS[artifact.format] for artifact in manifest.artifacts if artifact.format in ARTIFACTS]
    return [finding for artifact in known for finding in artifact.verify(root, manifest)]


def check_file(root: Path, file: File) -> StageFailure | None:
    """Existence, size and checksum of one file."""
    path = root / file.path
    if not path.is_file():
        return invalid("FileMissing", f"{file.path} is listed in {MANIFEST_FILE} but does not exist: {RESTORE}")
    size = path.stat().st_size
    if size != file.size_bytes:
        return invalid("ChecksumMismatch", f"{file.path} has {size} bytes, {MANIFEST_FILE} says {file.size_bytes}: {RESTORE}")
    digest = sha256_of(path, interruption.check)
    if digest != file.sha256:
        return invalid(
            "ChecksumMismatch", f"{file.path} has sha256 {digest[:12]}..., {MANIFEST_FILE} says {file.sha256[:12]}...: {RESTORE}"
        )
    return None


def unlisted_files(root: Path, folder: str, listed: set[str]) -> list[StageFailure]:
    """Files that a loader would read although the manifest does not list them."""
    found = (path.relative_to(root).as_posix() for path in walk(root / folder))
    return [invalid("UnlistedFile", f"{path} is not listed in {MANIFEST_FILE}: remove it") for path in unlisted(found, listed)]


def several(findings: list[StageFailure]) -> StageFailure:
    """The first finding, with the others as details."""
    first = findings[0]
    others = [str(finding) for finding in findings[1 : DETAILS + 1]]
    return invalid(first.error.code, str(first), details=others)
