"""The exports beside the weights. What cannot be made costs the artifact, never the model: the manifest names it and says why."""

import sys
import traceback

from finetune_api.exit_codes import ExitCode
from finetune_api.model_directory import MissingArtifact, Parity
from finetune_trainer import interruption
from finetune_trainer.failure import StageFailure, explain
from finetune_trainer.publish.draft import Draft
from finetune_trainer.publish.inputs import Inputs
from finetune_trainer.publish.kind import Kind
from finetune_trainer.publish.phases import Phases
from finetune_trainer.publish.space import check_onnx_space, storage_full_names

KILLS = 2
"""Attempts that may be killed while they export, before one goes without: a node may be lost once."""
NEXT_STEP = "the weights in model/ are complete and can be served with PyTorch"


def export_onnx(inputs: Inputs, kind: Kind, draft: Draft, phases: Phases) -> Parity | MissingArtifact | None:
    """The proof of the ONNX model in the draft, or why there is none; None when the job asks for none."""
    wanted = inputs.config.export.onnx
    if wanted is None:
        return None
    try:
        with storage_full_names(draft.root):
            check_kills(draft)
            check_onnx_space(inputs, draft.root)
            with draft.exporting():
                return kind.export(draft, wanted.parity_prompts, phases)
    except Exception as exc:
        interruption.check()  # a library may have made another exception of it
        draft.drop_onnx()
        return missing(exc)


def check_kills(draft: Draft) -> None:
    """An export that takes the whole pod down must not be tried for ever."""
    if draft.killed_exports >= KILLS:
        raise StageFailure(
            ExitCode.DOES_NOT_FIT,
            "ExportKilled",
            f"{draft.killed_exports} attempts were killed during the export, most often because the pod ran out of memory: raise "
            "publishing.resources.limits.memory in a new job",
            param="publishing.resources.limits.memory",
        )


def missing(exc: Exception) -> MissingArtifact:
    """The artifact that is not there because of `exc`, of which the log gets the whole."""
    failure = explain(exc)
    if failure is not exc:
        traceback.print_exception(exc)
    print(f"export failed: {failure.error.message}", *failure.error.details, sep="\n  ", file=sys.stderr, flush=True)
    message = f"{failure.error.message.rstrip('.')}; {NEXT_STEP}"
    return MissingArtifact(format="onnx", precision="fp32", reason=failure.error.code, message=message)
