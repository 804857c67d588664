"""A rank computes on the GPU that it was given, or says why it cannot."""

from pathlib import Path

import pytest

from finetune_api.exit_codes import ExitCode
from finetune_trainer.distributed.device import check_device, given_gpu


@pytest.mark.parametrize(
    ("visible", "nodes", "shows"),
    [
        (None, [], ""),
        ("", [], ""),
        ("none", [], ""),
        ("void", [], ""),
        (None, ["nvidiactl", "nvidia-uvm"], ""),
        ("all", [], "NVIDIA_VISIBLE_DEVICES is 'all'"),
        ("GPU-1f2e", [], "NVIDIA_VISIBLE_DEVICES is 'GPU-1f2e'"),
        (None, ["nvidia0"], "nvidia0 exists"),
        ("void", ["nvidia3", "nvidiactl"], "nvidia3 exists"),  # a pod gets its own GPU's node, whatever its number
    ],
)
def test_given(tmp_path: Path, visible: str | None, nodes: list[str], shows: str) -> None:
    """A device node or NVIDIA_VISIBLE_DEVICES shows a GPU; a cluster that only counts GPUs has neither."""
    for node in nodes:
        (tmp_path / node).touch()
    found = given_gpu({} if visible is None else {"NVIDIA_VISIBLE_DEVICES": visible}, tmp_path)
    assert found.removeprefix(f"{tmp_path}/") == shows


@pytest.mark.parametrize(
    ("local_rank", "count", "given", "code", "words"),
    [
        (0, 0, "", None, []),
        (3, 0, "", None, []),
        (1, 2, "/dev/nvidia0 exists", None, []),
        (0, 0, "/dev/nvidia0 exists", "GpuNotUsable", ["/dev/nvidia0 exists", "driver", "NVIDIA container runtime"]),
        (2, 2, "/dev/nvidia0 exists", "TooFewGpus", ["rank 2", "set training.gpusPerNode to 2"]),
    ],
)
def test_check(local_rank: int, count: int, given: str, code: str | None, words: list[str]) -> None:
    """A GPU that cannot be used is never replaced by the CPU, and a new attempt cannot help."""
    failure = check_device(local_rank, count, given)
    assert (failure.error.code if failure else None) == code
    if failure is not None:
        assert failure.exit_code == ExitCode.INVALID_INPUT
        assert [word for word in words if word not in str(failure)] == []
