"""What is computed: the same losses as a loop that one would write on a blackboard, however the step is cut."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM

from finetune_api.resources.learning import CheckpointingPolicy
from finetune_trainer.failure import StageFailure
from finetune_trainer.language_model.model import load_base
from finetune_trainer.language_model.rows import Rows
from finetune_trainer.methods import METHODS
from finetune_trainer.methods.gradient_checkpointing import enable_gradient_checkpointing
from finetune_trainer.workspace.files import is_complete
from finetune_trainer.workspace.prepared import Prepared
from tests.trainer.train.blackboard import train_language_model
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import FULL, LORA, Run

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
CLOSE = 1e-4


@pytest.mark.parametrize("kind", ["alone", "alone_full"])
def test_losses_and_gradients_are_those_of_the_blackboard(kind: str, request: pytest.FixtureRequest) -> None:
    """Over epochs of which the last step is short; LoRA and full, all steps, the schedule included."""
    run = request.getfixturevalue(kind)
    steps = run.metrics()
    for step, (loss, norm) in zip(steps, train_language_model(run), strict=True):
        assert step.loss == pytest.approx(loss, abs=CLOSE), step
        assert step.grad_norm == pytest.approx(norm, rel=1e-4), step


def test_smoothed_labels_are_those_of_the_blackboard(new_run: Callable[..., Run]) -> None:
    """A tenth of the probability is spread over the vocabulary."""
    run = new_run(method=LORA | {"sft": {"labelSmoothing": 0.1}}, hyper={"total_steps": 3, "checkpoint_every": 100})
    run_here(run)
    assert run.losses() == pytest.approx([loss for loss, _ in train_language_model(run, smoothing=0.1)], abs=CLOSE)


@pytest.mark.parametrize(("method", "budget"), [(LORA, 60), (FULL, 1000)], ids=["lora", "full"])
def test_noise_is_that_of_the_blackboard(method: dict[str, Any], budget: int, new_run: Callable[..., Run]) -> None:
    """NEFTune's noise depends on step and row: the same in micro-batches as one example at a time, and after an interruption."""
    run = new_run(method=method, hyper={"neftune_noise": 15.0, "micro_batch_tokens": budget, "checkpoint_every": 100})
    with pytest.raises(StageFailure, match="at step 2, with a checkpoint"):
        run_here(run, 1, lambda: len(run.metrics()) >= 1)
    run_here(run, 2)
    assert run.losses() == pytest.approx([loss for loss, _ in train_language_model(run, alpha=15)], abs=CLOSE)
    assert run.losses() != pytest.approx([loss for loss, _ in train_language_model(run)], abs=10 * CLOSE)


def test_a_validation_is_without_noise(new_run: Callable[..., Run]) -> None:
    """After a first step that changes nothing, because the learning rate starts at 0."""
    hyper = {"total_steps": 1, "validation_every": 1, "validation_examples": 9}
    plain, noisy = (new_run(hyper=hyper | {"neftune_noise": alpha}, folder=str(alpha)) for alpha in (None, 15.0))
    run_here(plain)
    run_here(noisy)
    assert noisy.losses() != plain.losses()
    assert noisy.validations()[0].valid_loss == plain.validations()[0].valid_loss


@pytest.mark.parametrize("budget", [1, 1000])
@pytest.mark.parametrize(("method", "kind"), [(LORA, "alone"), (FULL, "alone_full")], ids=["lora", "full"])
def test_the_token_budget_changes_no_loss(
    budget: int, method: dict[str, Any], kind: str, new_run: Callable[..., Run], request: pytest.FixtureRequest
) -> None:
    """One example a row, a few, or a whole step in one row: the same losses."""
    reference = request.getfixturevalue(kind)
    hyper = {"total_steps": reference.result().train.steps, "micro_batch_tokens": budget, "checkpoint_every": 100}
    run = new_run(method=method, hyper=hyper)
    run_here(run)
    assert run.losses() == pytest.approx(reference.losses(), abs=CLOSE)


def test_what_is_left(alone: Run) -> None:
    """The adapter with its mark, a summary that agrees with metrics.csv, and one line for each step."""
    steps, summary = alone.metrics(), alone.result().train
    assert [step.step for step in steps] == list(range(1, 13))
    assert [step.epoch for step in steps] == [number / 4 for number in range(1, 13)]
    assert steps[0].learning_rate == 0  # warming up
    assert steps[1].learning_rate == 1e-3
    assert summary is not None
    assert (summary.steps, summary.loss, summary.tokens) == (12, steps[-1].loss, steps[-1].tokens)
    assert summary.tokens == 3 * Rows(alone.workspace.train_rows).lengths.sum()
    assert is_complete(alone.workspace.trained)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {path.name for path in (alone.workspace.trained / "adapter").iterdir()}


def test_what_full_fine_tuning_leaves(alone_full: Run, tiny: Path) -> None:
    """A whole model, not equal to its base."""
    trained = load_file(alone_full.workspace.trained / "model" / "model.safetensors")
    base = load_file(tiny / "model.safetensors")
    assert trained.keys() == base.keys()
    assert not any(torch.equal(trained[name], base[name]) for name in base)


def passes(run: Run) -> int:
    """How often the first layer is computed for one forward and backward pass."""
    model: Any = load_base(Prepared.from_json(run.workspace.prepared.read_bytes()), METHODS[run.method["type"]]).train()
    (layer,) = (module for name, module in model.named_modules() if name.endswith("layers.0"))
    seen: list[object] = []
    layer.self_attn.register_forward_pre_hook(lambda *_: seen.append(None))
    model(input_ids=torch.tensor([[5, 6, 7]]), use_cache=False).logits.sum().backward()
    return len(seen)


@pytest.mark.parametrize("policy", ["full", "selective"])
@pytest.mark.parametrize(("method", "kind"), [(LORA, "alone"), (FULL, "alone_full")], ids=["lora", "full"])
def test_gradient_checkpointing_changes_no_loss(
    policy: str, method: dict[str, Any], kind: str, new_run: Callable[..., Run], request: pytest.FixtureRequest
) -> None:
    """What is computed again in the backward pass is what was computed in the forward pass."""
    reference = request.getfixturevalue(kind)
    checkpointing = {"gradient_checkpointing": True, "gradient_checkpointing_policy": policy}
    run = new_run(method=method, hyper=checkpointing | {"total_steps": reference.result().train.steps, "checkpoint_every": 100})
    assert passes(run) == 2
    assert passes(reference) == 1
    run_here(run)
    assert run.losses() == reference.losses()
    assert [step.grad_norm for step in run.metrics()] == pytest.approx([step.grad_norm for step in reference.metrics()], rel=1e-5)


def products(policy: CheckpointingPolicy, rank: int) -> Counter[str]:
    """How often each operation on matrices is computed in a forward and a backward pass through a layer with an adapter."""
    torch.manual_seed(0)
    base: Any = LlamaForCausalLM(LlamaConfig(vocab_size=9, hidden_size=256, intermediate_size=256, num_hidden_layers=1))
    enable_gradient_checkpointing(base, policy)
    model = get_peft_model(base, LoraConfig(r=rank, target_modules=["gate_proj"])).train()
    with Operations() as seen:
        model(input_ids=torch.tensor([[5, 6, 7]]), use_cache=False).logits.sum().backward()
    return seen.counts


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that are computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **kwargs or {})


def test_selective_checkpointing_computes_only_what_is_cheap_again() -> None:
    """Neither attention nor a product over a large dimension: six of the layer (the result of the last one is not needed again) and one of
    the adapter's two."""
    full, selective = products("full", 4), products("selective", 4)
    assert full["mm"] - selective["mm"] == 6 + 1
    assert full["_scaled_dot_product_flash_attention_for_cpu"] == 2
    assert selective["_scaled_dot_product_flash_attention_for_cpu"] == 1
    assert selective["silu"] == full["silu"] == 2


@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
def test_bf16(method: dict[str, Any], alone: Run, new_run: Callable[..., Run]) -> None:
    """Computes with bf16 and keeps what is trained in fp32; the losses are near."""
    run = new_run(method=method, hyper={"precision": "bf16", "total_steps": 2, "checkpoint_every": 100})
    run_here(run)
    assert run.losses() == pytest.approx(alone.losses()[:2], rel=0.02)
    assert run.losses() != alone.losses()[:2]
    (weights,) = run.workspace.trained.glob("*/*.safetensors")
    assert {weight.dtype for weight in load_file(weights).values()} == {torch.float32}


def test_a_model_that_cannot_be_packed(tmp_path: Path, new_run: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    """A recurrent model carries its state over the border: the self-test sees it, and each example gets a row of its own."""
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=99, hidden_size=32, state_size=4, num_hidden_layers=2, use_cache=False)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    run = new_run(base=tmp_path / "mamba", method=FULL, hyper={"total_steps": 3, "checkpoint_every": 100})
    run_here(run)
    assert "one example per row" in capsys.readouterr().out
    assert run.losses() == pytest.approx([loss for loss, _ in train_language_model(run)], abs=CLOSE)
