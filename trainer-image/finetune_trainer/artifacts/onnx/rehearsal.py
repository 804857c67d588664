"""The ONNX export is rehearsed before a GPU is asked for: a small copy of this very model is exported and compared, on the CPU.

In a process of its own (`finetune_trainer.artifacts.onnx.rehearse`), since this room has no torch. A model is refused only when its
rehearsal failed; a rehearsal that cannot run is a note.
"""

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path

from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.exporter import BaseFacts
from finetune_trainer.failure import invalid
from finetune_trainer.stage.child_process import Ended, run_apart
from finetune_trainer.stage.free_memory import free_memory
from finetune_trainer.stage.progress import ProgressPrinter

PROGRAM = "finetune_trainer.artifacts.onnx.rehearse"
NEEDS = ("torch", "transformers", "onnxruntime", "onnxruntime_genai")
MEMORY = 5 << 28
"""Bytes that it needs, mostly for libraries; measured: 1,000 MB."""
LIMIT = 600.0
"""Seconds; it usually takes about 15."""
NOT_HELD = "the trial ONNX export did not run, so the export may still fail in publish"


def rehearse_export(run: RunConfig, base: BaseFacts, small_files: Path, progress: ProgressPrinter) -> list[str]:
    """Returns notes; raises StageFailure (ExportUnsupported) for a model whose export does not work."""
    from finetune_trainer.tasks import find_task  # imports numpy

    if any(find_spec(name) is None for name in NEEDS):
        return [f"{NOT_HELD}: it needs the packages of the trainer image ({', '.join(NEEDS)})"]
    free = free_memory()
    if free is not None and free < MEMORY:
        return [f"{NOT_HELD}: it takes {MEMORY >> 20} MiB, and {free >> 20} MiB are free; raise preparation.resources.limits.memory"]
    progress.show("running a trial ONNX export", force=True)
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=run.paths.workspace) as scratch:
        arguments = [str(small_files), find_task(run.task).learner, str(Path(scratch, "work"))]
        ended = run_apart(PROGRAM, arguments, Path(scratch), lambda: progress.show("running a trial ONNX export"), limit=LIMIT)
    return judge(ended, base)


def judge(ended: Ended, base: BaseFacts) -> list[str]:
    """Nothing, a note, or a refusal, as the rehearsal ended."""
    if not ended.in_time:
        return [f"{NOT_HELD}: it took longer than {LIMIT:g} s"]
    lines = ended.output.strip().splitlines() or [f"exit code {ended.code}"]
    found = None if ended.code != 0 else next(filter(None, map(verdict, reversed(lines))), None)
    if found is None:
        print(ended.output, flush=True)
        return [f"{NOT_HELD}: {lines[-1][:300]}"]
    if found["reason"]:
        detail = f" ({found['detail']})" if found["detail"] else ""
        raise invalid(
            "ExportUnsupported",
            f"{base.name} is a {base.architecture}, and with its config.json it cannot be exported to ONNX: "
            f"{found['reason']}{detail}. Leave export.onnx out, or use another base model",
            param="export.onnx",
        )
    return []


def verdict(line: str) -> dict[str, str] | None:
    """The program's own line; None for what libraries print, some of them when the program ends."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "reason" in found else None
