"""Writes the artifacts of a draft. One that cannot be made costs the artifact, never the model: the manifest names it and says why."""

import gc
import shutil
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import MissingArtifact, Parity
from finetune_trainer.artifacts.exporter import Exporter, ExportJob
from finetune_trainer.failure import StageFailure, explain
from finetune_trainer.publish.draft import Draft
from finetune_trainer.publish.space import check_publish_space, storage_full_names
from finetune_trainer.stage import interruption

KILLS = 2
"""Attempts that may be killed during an export before one leaves it out: a node may be lost once."""


@dataclass(frozen=True)
class Exported:
    """How the exports ended."""

    parity: list[Parity]
    missing: list[MissingArtifact]


def export_all(job: ExportJob, draft: Draft, artifacts: Iterable[Exporter]) -> Exported:
    """Writes these into the draft, the weights first; raises the failure of an artifact that is required."""
    exported = Exported([], [])
    for artifact in artifacts:
        try:
            parity = artifact.export(job) if artifact.required else export_optional(artifact, job, draft)
        except Exception as exc:
            interruption.check()  # a library may have made another exception of it
            if artifact.required:
                raise
            discard(artifact, draft)
            exported.missing.append(missing(artifact, exc, draft))
        else:
            exported.parity.extend([parity] if parity else [])
        gc.collect()  # models hold reference cycles
    return exported


def export_optional(artifact: Exporter, job: ExportJob, draft: Draft) -> Parity | None:
    """One that the model can do without."""
    with storage_full_names(draft.root):
        check_kills(artifact.name, draft, "during the export")
        check_publish_space([artifact], job.run, draft.root, f"{artifact.folder} needs")
        with draft.exporting(artifact.name):
            return artifact.export(job)


def check_kills(work: str, draft: Draft, when: str) -> None:
    """An export, or other work on a part that the model can do without, is not tried again and again if it kills the pod."""
    if (killed := draft.killed_exports(work)) >= KILLS:
        raise StageFailure(
            ExitCode.DOES_NOT_FIT,
            "ExportKilled",
            f"{killed} attempts were killed {when}, most often because the pod ran out of memory: raise "
            "publishing.resources.limits.memory in a new job",
            param="publishing.resources.limits.memory",
        )


def discard(artifact: Exporter, draft: Draft) -> None:
    """Removes what an export has written, and its temporary files."""
    for path in (draft.files / artifact.folder.partition("/")[0], draft.scratch):
        shutil.rmtree(path, ignore_errors=True)
    draft.scratch.mkdir()


def missing(artifact: Exporter, exc: Exception, draft: Draft) -> MissingArtifact:
    """The manifest's entry for an artifact that failed with `exc`; the log gets the details."""
    error = explained(exc, "export failed").error
    message = f"{error.message.rstrip('.')}; the weights in {draft.place}model/ are complete and can be served with PyTorch"
    return MissingArtifact(format=artifact.name, precision=artifact.precision, reason=error.code, message=message)


def explained(exc: Exception, what: str) -> StageFailure:
    """The failure, whose details are left in the log behind `what`."""
    failure = explain(exc)
    if failure is not exc:
        traceback.print_exception(exc)
    print(f"{what}: {failure.error.message}", *failure.error.details, sep="\n  ", file=sys.stderr, flush=True)
    return failure
