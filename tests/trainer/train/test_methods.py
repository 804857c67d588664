"""Every method that trains an adapter: the losses of the blackboard, an exact resume, an adapter that merges into the base as it is."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.ia3 import IA3Layer
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from finetune_api.exit_codes import ExitCode
from finetune_api.run_config import RunMethod, RunStrategy
from finetune_trainer.failure import StageFailure
from finetune_trainer.language_model.learner import LanguageLearner
from finetune_trainer.language_model.model import load_base
from finetune_trainer.methods import METHODS
from finetune_trainer.methods.ia3 import IA3
from finetune_trainer.prepare.base.weights import Weights
from finetune_trainer.train.loop.metrics import read_metrics
from finetune_trainer.workspace.prepared import Prepared
from tests.models.tiny_models import make_language_model
from tests.trainer.train.blackboard import train_language_model
from tests.trainer.train.conftest import run_here
from tests.trainer.train.runs import DDP, FSDP, VALIDATION_ROWS, Run
from tests.unit.prepare.base_folder import change_json

pytestmark = [pytest.mark.trainer, pytest.mark.filterwarnings("ignore")]
Settings = dict[str, Any]
LORA: Settings = {"rank": 4, "alpha": 8}
METHODS_TRIED: dict[str, Settings] = {
    "lora": {"type": "lora", "lora": LORA},
    "dora": {"type": "lora", "lora": LORA | {"dora": True}},
    "pissa": {"type": "lora", "lora": LORA | {"initialization": "pissa"}},
    "pissa rslora": {"type": "lora", "lora": LORA | {"initialization": "pissa", "rslora": True}},
    "rslora": {"type": "lora", "lora": LORA | {"rslora": True}},
    "ia3": {"type": "ia3"},
    "ia3 outputs": {"type": "ia3", "ia3": {"feedforwardModules": []}},
    "qlora nf4": {"type": "qlora", "lora": LORA},
    "qlora dora": {"type": "qlora", "lora": LORA | {"dora": True}},
    "qlora int8": {"type": "qlora", "lora": LORA, "qlora": {"quantization": "int8"}},
}
BY_NAME = {"llama": ["q_proj", "down_proj"], "gpt2": ["c_attn", "mlp.c_proj"]}
"""Target modules; those of GPT-2 are Conv1D, which stores its matrices transposed."""
HYPER: Settings = {"total_steps": 4, "checkpoint_every": 100, "learning_rate": 5e-3}


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 without dropout."""
    folder = make_language_model("gpt2", tmp_path_factory.mktemp("gpt2"))
    change_json(folder / "config.json", attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
    return folder


def with_targets(method: Settings, targets: list[str]) -> Settings:
    """The same method for these modules."""
    settings = copy.deepcopy(method)
    settings[method["type"] if method["type"] == "ia3" else "lora"]["targetModules"] = targets
    return settings


def interrupted(run: Run) -> None:
    """In step 2, and resumed."""
    with pytest.raises(StageFailure, match="at step 2, with a checkpoint"):
        run_here(run, 1, lambda: len(read_metrics(run.workspace.metrics)) >= 1)
    run_here(run, 2)


def logits(model: Any) -> torch.Tensor:
    """Of a few tokens."""
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=torch.arange(5, 45)[None], use_cache=False).logits
    return found


@pytest.mark.parametrize(
    ("name", "family", "targets"),
    [
        ("dora", "llama", "by name"),
        ("dora", "gpt2", "all-linear"),
        ("rslora", "gpt2", "by name"),
        ("lora", "gpt2", "all-linear"),
        ("pissa", "llama", "all-linear"),
        ("pissa", "gpt2", "all-linear"),
        ("pissa rslora", "llama", "by name"),
        ("lora", "gpt2", "by name"),
        ("ia3", "llama", "default"),
        ("ia3", "gpt2", "default"),
        ("ia3 outputs", "gpt2", "by name"),
        ("qlora nf4", "llama", "all-linear"),
        ("qlora nf4", "gpt2", "by name"),
        ("qlora dora", "llama", "all-linear"),
        ("qlora int8", "llama", "by name"),
        ("qlora int8", "gpt2", "all-linear"),
    ],
)
def test_a_method_from_start_to_merge(name: str, family: str, targets: str, tiny: Path, gpt2: Path, new_run: Callable[..., Run]) -> None:
    """Interrupted and resumed, the losses and gradients are those of one example at a time; merged, the model is base plus adapter."""
    base = tiny if family == "llama" else gpt2
    method = METHODS_TRIED[name]
    if targets != "default":
        method = with_targets(method, ["all-linear"] if targets == "all-linear" else BY_NAME[family])
    run = new_run(base=base, method=method, hyper=HYPER)
    interrupted(run)
    for step, (loss, norm) in zip(run.metrics(), train_language_model(run), strict=True):
        assert step.loss == pytest.approx(loss, abs=1e-4), step
        assert step.grad_norm == pytest.approx(norm, rel=1e-3), step
    adapter = run.workspace.trained / "adapter"
    plain: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    untrained = logits(plain)
    adapted = logits(PeftModel.from_pretrained(copy.deepcopy(plain), str(adapter)))
    merged = logits(METHODS[method["type"]].merge(plain, adapter))
    scale = untrained.abs().max()
    assert (merged - adapted).abs().max() < 1e-5 * scale
    assert (merged - untrained).abs().max() > 1e-3 * scale


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        ("dora", DDP), ("pissa", DDP), ("ia3", DDP), ("qlora nf4", DDP), ("qlora int8", DDP), ("qlora dora", DDP),
        ("qlora nf4", FSDP),
    ],
    ids=lambda value: value if isinstance(value, str) else value.type,
)  # fmt: skip
def test_a_resumed_training_leaves_the_same_bytes(name: str, strategy: RunStrategy, new_run: Callable[..., Run]) -> None:
    """With dropout where an adapter has it, in bf16; what is frozen is quantised again in the next attempt."""
    method = copy.deepcopy(METHODS_TRIED[name])
    if "lora" in method:
        method["lora"]["dropout"] = 0.1
    hyper = HYPER | {"precision": "bf16"}
    whole, run = (new_run(method=method, strategy=strategy, hyper=hyper, folder=folder) for folder in ("whole", "resumed"))
    run_here(whole)
    interrupted(run)
    assert run.losses() == whole.losses()
    ours, theirs = (load_file(one.workspace.trained / "adapter" / "adapter_model.safetensors") for one in (run, whole))
    assert {name: tensor.tolist() for name, tensor in ours.items()} == {name: tensor.tolist() for name, tensor in theirs.items()}


@pytest.mark.parametrize("strategy", [DDP, FSDP], ids=["ddp", "fsdp"])
def test_pissa_changes_no_base(strategy: RunStrategy, new_run: Callable[..., Run], alone: Run) -> None:
    """The first loss is that of the base, before anything is learned; what is published for the base as it was has the validation loss
    of the model in memory."""
    hyper = HYPER | {"validation_every": 4, "validation_examples": VALIDATION_ROWS}
    run = new_run(method=METHODS_TRIED["pissa"], hyper=hyper, strategy=strategy)
    run_here(run)
    assert run.losses()[0] == pytest.approx(alone.losses()[0], abs=1e-4)
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    base: Any = AutoModelForCausalLM.from_pretrained(prepared.base_path, dtype=torch.float32)
    merged = METHODS["lora"].merge(base, run.workspace.trained / "adapter")
    scores = LanguageLearner(run.config(), prepared, run.workspace).score(merged, lambda done, total: None).scores
    assert run.result().train.validation.loss == pytest.approx(scores["loss"], abs=1e-5)
    assert scores["loss"] < alone.losses()[0] - 0.1


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_the_base_is_quantised(quantization: str, new_run: Callable[..., Run]) -> None:
    """All linear layers but the head, in evaluation as in training; the base's bytes are those that prepare expects. Two numbers of 4
    bits are a byte, and bytes are stored as numbers of the precision."""
    run = new_run(method={"type": "qlora", "lora": LORA, "qlora": {"quantization": quantization}})
    prepared = Prepared.from_json(run.workspace.prepared.read_bytes())
    model: Any = load_base(prepared, METHODS["qlora"])
    layers = [module for module in model.modules() if type(module).__name__ in ("Nf4Linear", "Int8Linear")]
    assert len(layers) == 2 * 7
    assert {module.weight.dtype for module in layers} == {torch.float32 if quantization == "nf4" else torch.int8}
    assert model.get_output_embeddings().weight.dtype == torch.float32
    shapes = {f"layers.{number}": (layer.out_features, layer.in_features) for number, layer in enumerate(layers)}
    weights = sum(layer.weight.nbytes for layer in layers)
    method, count = METHODS["qlora"], sum(o * i for o, i in shapes.values())
    undivided = method.undivided_bytes(shapes, prepared.method, "fp32")
    assert method.base_bytes(count, shapes, prepared.method, "fp32") == weights + undivided
    scales = sum(layer.weight.quant_state.absmax.nbytes if quantization == "nf4" else 4 * layer.out_features for layer in layers)
    assert scales <= undivided - 4 * max(o * i for o, i in shapes.values()) <= 1.04 * scales
    torch.testing.assert_close(logits(model), logits(model.train()))


def test_two_ranks_train_on_a_quantised_base(new_run: Callable[..., Run]) -> None:
    """Each holds a part of it, and gathers 4 bits a weight; the losses are those of one process."""
    run = new_run(method=METHODS_TRIED["qlora nf4"], strategy=FSDP, hyper=HYPER, processes=2)
    assert run.attempt() == ExitCode.OK
    assert run.losses() == pytest.approx([loss for loss, _ in train_language_model(run)], abs=1e-4)


@pytest.mark.parametrize(
    ("family", "ia3"),
    [
        ("llama", {}),
        ("gpt2", {}),
        ("llama", {"targetModules": ["q_proj", "o_proj"], "feedforwardModules": ["o_proj"]}),
        ("llama", {"targetModules": ["model.layers.1.self_attn.v_proj"]}),
        ("llama", {"targetModules": ["v_proj", "down_proj"], "feedforwardModules": ["model.layers.1.mlp.down_proj"]}),
        ("gpt2", {"targetModules": ["transformer.h.1.mlp.c_proj", "attn.c_attn"]}),
    ],
    ids=["llama", "gpt2", "by kind", "one layer", "inputs of one layer", "inputs of one layer in gpt2"],
)
def test_factors_are_learned_where_they_are_counted(family: str, ia3: Settings, tiny: Path, gpt2: Path) -> None:
    """The layers that prepare finds in the files are those in which PEFT has factors, as many and on the same side."""
    base = tiny if family == "llama" else gpt2
    settings = RunMethod.model_validate({"type": "ia3", "ia3": ia3})
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(base / "model.safetensors").items()}
    layers = Weights(shapes, transposed=family == "gpt2").linear_layers
    model = IA3.prepare(AutoModelForCausalLM.from_pretrained(base), settings, "CAUSAL_LM", [])
    adapted = {name: module for name, module in model.base_model.model.named_modules() if isinstance(module, IA3Layer)}
    assert sorted(adapted) == sorted(IA3.adapted(layers, settings))
    assert {name for name, module in adapted.items() if module.is_feedforward} == set(IA3.feed_forward(layers, settings))
    learned = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert learned == IA3.trained(0, layers, settings)
