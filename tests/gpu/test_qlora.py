"""QLoRA on a GPU: it learns, its base has the bytes that prepare expects, and the merged model is base plus adapter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from finetune_trainer.methods import METHODS
from tests.gpu.runs import QLORA, trained

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300), pytest.mark.bf16]


def logits(model: Any) -> torch.Tensor:
    """Of a few tokens, in fp32."""
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=torch.arange(5, 45, device="cuda")[None], use_cache=False).logits
    return found.float()


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_trained_and_merged(quantization: str, small: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    """Five epochs of four steps in bf16 lower the loss; merged into the bf16 base, the model is that base with the adapter beside it."""
    method = QLORA | {"qlora": {"quantization": quantization}}
    run = trained(tmp_path / "workspace", small, method, precision="bf16", total_steps=20, learning_rate=5e-3)
    adapter = run.workspace.trained / "adapter"

    def base() -> Any:
        loaded: Any = AutoModelForCausalLM.from_pretrained(small, dtype=torch.bfloat16)
        return loaded.to("cuda")

    untrained, beside = logits(base()), logits(PeftModel.from_pretrained(base(), str(adapter)))
    merged = logits(METHODS["qlora"].merge(base(), adapter))
    error = ((merged - beside).norm() / (beside - untrained).norm()).item()
    epochs = [sum(run.losses()[start : start + 4]) / 4 for start in (0, 16)]
    figures(first_epoch=epochs[0], last_epoch=epochs[1], merge_error=error)
    assert epochs[1] < epochs[0]
    assert error < 0.1
