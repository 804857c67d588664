"""What prepare makes of a rehearsed export: nothing, a note, or a refusal; and when it holds none."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_trainer.artifacts import wanted_artifacts
from finetune_trainer.artifacts.exporter import BaseFacts
from finetune_trainer.artifacts.onnx.rehearsal import judge
from finetune_trainer.failure import StageFailure
from finetune_trainer.stage.child_process import Ended
from finetune_trainer.stage.free_memory import free_memory
from tests.unit.prepare.run import run_config

NOT_HELD = "the trial ONNX export did not run, so the export may still fail in publish: "


def said(reason: str, detail: str = "") -> str:
    """The program's output: what libraries print, then its own line."""
    return f"a library's warning\n{json.dumps({'reason': reason, 'detail': detail})}\n"


BASE = BaseFacts("hf://acme/llama", "LlamaForCausalLM", "llama")


@pytest.mark.parametrize(
    ("ended", "notes"),
    [
        (Ended(0, said("")), []),
        (Ended(0, said("") + "a library's last words\n{}\n"), []),
        (Ended(0, "a library's words alone\n"), [f"{NOT_HELD}a library's words alone"]),
        (Ended(1, "Traceback\nValueError: heads do not fit\n"), [f"{NOT_HELD}ValueError: heads do not fit"]),
        (Ended(-9, ""), [f"{NOT_HELD}exit code -9"]),
        (Ended(-9, "half a li", in_time=False), [f"{NOT_HELD}it took longer than 600 s"]),
    ],
)
def test_a_rehearsal_that_breaks_down_is_a_note(ended: Ended, notes: list[str]) -> None:
    """Only what was seen to fail is refused."""
    assert judge(ended, BASE) == notes


def test_an_export_that_was_seen_to_fail_is_refused() -> None:
    """With the model, its class, the reason, what was seen and what to do."""
    with pytest.raises(StageFailure) as caught:
        judge(Ended(0, said("ONNX Runtime cannot run the exported graph", "cos_cache")), BASE)
    error = caught.value.error
    assert (caught.value.exit_code, error.code, error.param) == (3, "ExportUnsupported", "export.onnx")
    assert error.message == (
        f"{BASE.name} is a LlamaForCausalLM, and with its config.json it cannot be exported to ONNX: "
        "ONNX Runtime cannot run the exported graph (cos_cache). Leave export.onnx out, or use another base model"
    )


def test_nothing_is_rehearsed_for_a_job_without_onnx(tmp_path: Path) -> None:
    """It would take seconds for nothing."""
    assert [artifact.name for artifact in wanted_artifacts(run_config(tmp_path))] == ["safetensors", "adapter"]
    assert [artifact.name for artifact in wanted_artifacts(run_config(tmp_path, export={"onnx": {}}))] == ["safetensors", "adapter", "onnx"]


GIB = 1 << 30
V2 = {"memory.max": 2 * GIB, "memory.current": GIB, "memory.stat": f"anon 5\ninactive_file {GIB // 2}\n"}
V1 = {
    "memory/memory.limit_in_bytes": 2 * GIB,
    "memory/memory.usage_in_bytes": GIB,
    "memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB // 4}\n",
}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        (V2, GIB * 3 // 2),
        (V1, GIB * 5 // 4),
        (V2 | {"memory.max": "max"}, None),
        (V1 | {"memory/memory.limit_in_bytes": 9223372036854771712}, None),
        ({}, None),
        (V2 | {"memory.current": 3 * GIB, "memory.stat": ""}, 0),
    ],
    ids=["v2", "v1", "v2 without a limit", "v1 without a limit", "no cgroup", "over the limit"],
)
def test_free_memory_is_what_the_limit_leaves(tmp_path: Path, files: dict[str, Any], free: int | None) -> None:
    """Unused pages of files do not count."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert free_memory(tmp_path) == free
