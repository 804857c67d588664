"""Memory that runs out: the failure says what to change, and half the micro-batch has the same losses."""

import itertools
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure
from finetune_trainer.language_model.rows import Rows
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import FULL, Run, prepare_workspace

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
MIB = 1 << 20
CLOSE = 1e-4
ROWS = 32
VOCABULARY = 131072
ROOM = 300 * MIB
"""A step of 32 rows has 294 supervised tokens, and each of them needs half a MiB for its logits, three times: 441 MiB, or half of it."""
HYPER: dict[str, Any] = {"total_steps": 4, "steps_per_epoch": 1, "batch_size": 32, "micro_batch_tokens": 4096, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with a large vocabulary: nearly all of its memory goes to logits."""
    folder = tmp_path_factory.mktemp("base") / "wide"
    shape: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, tie_word_embeddings=True, **shape)).save_pretrained(folder)
    return folder


@contextmanager
def limited_after(steps: int) -> Iterator[Callable[[], bool]]:
    """An `asked_to_stop` that, after so many steps, limits this process to ROOM more than it has; lifted at the end."""
    before, calls = resource.getrlimit(resource.RLIMIT_AS), itertools.count()

    def asked() -> bool:
        if next(calls) == steps:  # the first call is before the first step
            resource.setrlimit(resource.RLIMIT_AS, (address_space() + ROOM, before[1]))
        return False

    try:
        yield asked
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def address_space() -> int:
    """Bytes that this process has mapped."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def test_half_the_micro_batch_fits_and_has_the_same_losses(wide: Path, new_run: Callable[..., Run], tmp_path: Path) -> None:
    """An allocation fails after the first checkpoint; the next attempt goes on from there within the same limit. The losses are
    those of a training that was never limited, also of one that the launcher starts with half the micro-batch."""
    reference = Run(prepare_workspace(tmp_path / "reference", wide, method=FULL, rows=ROWS, **HYPER), FULL)
    run_here(reference)
    run = new_run(base=wide, method=FULL, hyper={"rows": ROWS, **HYPER})
    with limited_after(2) as asked, pytest.raises(StageFailure) as failed:
        run_here(run, 1, asked)
    assert (failed.value.exit_code, failed.value.error.code) == (ExitCode.OUT_OF_MEMORY, "OutOfMemory")
    assert failed.value.error.param == "hyperparameters.gradientCheckpointing"
    tokens = Rows(run.workspace.train_rows).lengths.sum()
    assert f"the largest micro-batch has {tokens} tokens, the longest example 29" in str(failed.value)
    assert [step.step for step in run.metrics()] == [1, 2]
    with limited_after(0) as asked:
        run_here(run, 2, asked, halved=True)
    assert run.losses() == pytest.approx(reference.losses(), abs=CLOSE)
    shutil.rmtree(run.workspace.checkpoints)
    run.workspace.result("train").unlink()
    assert run.attempt(3, halved=True) == ExitCode.OK
    log = (run.workspace.root / "log-3-0.txt").read_text()
    assert "micro-batches of 286 tokens instead of 4,096" in log
    assert '"microBatches":{"tokens":286,"accumulation":3,' in log
    assert run.losses() == pytest.approx(reference.losses(), abs=CLOSE)


def test_a_single_example_cannot_be_halved(wide: Path, new_run: Callable[..., Run]) -> None:
    """The attempt ends before it loads the model, with what to change."""
    run = new_run(base=wide, hyper={**HYPER, "micro_batch_tokens": 1, "gradient_checkpointing": True})
    with pytest.raises(StageFailure, match="the largest micro-batch is a single example of 29 tokens") as refused:
        run_here(run, 2, halved=True)
    assert (refused.value.exit_code, refused.value.error.param) == (ExitCode.DOES_NOT_FIT, "hyperparameters.maxSequenceLength")
