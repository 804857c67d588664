"""Will it fit: the choice of micro-batch and gradient checkpointing, and the words of a refusal."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune_api.dataset_report import DatasetReport
from finetune_api.exit_codes import ExitCode
from finetune_api.result import DatasetSummary, Estimate, PrepareSummary, ResolvedParameter
from finetune_trainer.__main__ import main
from finetune_trainer.failure import StageFailure
from finetune_trainer.methods.lora import LORA
from finetune_trainer.prepare.fit.choice import TrainingFacts, trained_model
from finetune_trainer.prepare.fit.fit import Fit, fit
from finetune_trainer.prepare.fit.memory import CPU, GPU, Micro, need
from finetune_trainer.prepare.fit.model_shape import model_shape
from finetune_trainer.prepare.hyperparameters import Facts, resolve_hyperparameters
from finetune_trainer.workspace.prepared import Prepared
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.data.rows.samples import good
from tests.unit.prepare.base_folder import make_base
from tests.unit.prepare.models import ALBERT, LLAMA_8B, MINILM, SMALL, bert, mixture
from tests.unit.prepare.run import run_config

GIB = 1 << 30
LENGTHS = np.tile(np.array([100, 400, 900, 2000], dtype=np.int64), 100)
CPU_FROM = "training.resources.limits.memory"


def gpu(gib: int, count: int = 1, product: str = "NVIDIA-A100-SXM4-80GB") -> dict[str, Any]:
    """The hardware of a run config: GPUs of that many GiB."""
    return {"memory": gib * GIB, "memoryFrom": "training.gpuMemory", "gpus": count, "gpuProduct": product}


def tried(model: Any, hardware: dict[str, Any], lengths: Any = LENGTHS, labels: int = 0, **settings: Any) -> Fit:
    """fit() of a run on that model. Of a language model's examples at most half the tokens are supervised."""
    config, weights = model
    run = run_config(Path("/tmp"), hardware=hardware, **settings)
    longest = ResolvedParameter(value=int(lengths.max()), reason="as given")
    decided = resolve_hyperparameters(run, Facts(len(lengths), longest, weights.parameters))
    supervised = np.ones_like(lengths) if labels else np.minimum(lengths, 1000)
    return fit(run, decided, TrainingFacts(config, weights, lengths, supervised, labels))


@pytest.mark.parametrize(
    ("hardware", "tokens", "checkpointing"),
    [
        (gpu(141), 8192, False),
        (gpu(80), 4096, False),
        (gpu(40), 2048, False),
        (gpu(32), 4096, True),
        (gpu(24), 2048, True),
        ({"gpus": 1}, 2000, False),
    ],
)
def test_the_largest_micro_batch_that_fits(hardware: dict[str, Any], tokens: int, checkpointing: bool) -> None:
    """Activations are computed again only where no micro-batch fits without; where the available memory is unknown, they are small."""
    found = tried(LLAMA_8B, hardware)
    assert (found.memory.micro_batch_tokens, found.memory.gradient_checkpointing) == (tokens, checkpointing)
    assert found.decided.values.micro_batch_tokens == tokens
    assert found.decided.values.gradient_checkpointing == checkpointing
    assert found.decided.reasons["gradientCheckpointing"].value == checkpointing
    if found.memory.available is not None:
        assert found.memory.total <= found.memory.available


@pytest.mark.parametrize("given", [True, False])
def test_gradient_checkpointing_as_given(given: bool) -> None:
    """The user's word stands as long as it fits."""
    found = tried(SMALL, gpu(80), hyperparameters={"gradientCheckpointing": given})
    assert found.decided.values.gradient_checkpointing == given
    assert found.decided.reasons["gradientCheckpointing"].reason == "as given"


def test_a_step_is_cut_into_micro_batches() -> None:
    """Micro-batches of one process; the sum of the parts is the whole."""
    memory = tried(SMALL, {}, np.full(64, 256, dtype=np.int64), hyperparameters={"batchSize": 32}).memory
    assert (memory.micro_batch_tokens, memory.accumulation) == (1024, 8)
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations, memory.logits, memory.runtime)
    assert sum(parts) == memory.total
    two = tried(SMALL, {}, np.full(64, 256, dtype=np.int64), hyperparameters={"batchSize": 32}, world={"nodes": 2}).memory
    assert two.accumulation == 4
    assert two.gradients == memory.gradients, "they are views into DDP's buckets"


@pytest.mark.parametrize(
    ("model", "settings", "hardware", "changes", "param"),
    [
        (
            LLAMA_8B,
            {"method": {"type": "full"}},
            gpu(80),
            ["method.type: lora (", "training.gpusPerNode: 4 with training.strategy.type: fsdp (", "a GPU with 141 GiB"],
            "method.type",
        ),
        (
            LLAMA_8B,
            {"method": {"type": "full"}, "strategy": {"type": "ddp"}, "world": {"processesPerNode": 8}},
            gpu(80, 8),
            ["training.strategy.type: fsdp (", "method.type: lora (", "training.nodes: 2 with training.strategy.type: fsdp ("],
            "training.strategy.type",
        ),
        (
            LLAMA_8B,
            {"hyperparameters": {"gradientCheckpointing": False}},
            gpu(26),
            ["hyperparameters.gradientCheckpointing: true (", "hyperparameters.maxSequenceLength: ", "a GPU with 40 GiB"],
            "hyperparameters.gradientCheckpointing",
        ),
        (
            LLAMA_8B,
            {},
            gpu(16),
            ["a base model of at most 3.7 billion parameters (", "training.gpusPerNode: ", "a GPU with 32 GiB"],
            "base.source",
        ),
        (
            LLAMA_8B,
            {"method": {"type": "full"}},
            gpu(112),
            ["method.type: lora (", "hyperparameters.optimizer: adamw-8bit ("],
            "method.type",
        ),
        (
            LLAMA_8B,
            {"method": {"type": "full"}, "world": {"processesPerNode": 8}, "hyperparameters": {"optimizer": "lion"}},
            gpu(40, 8),
            ["hyperparameters.optimizer: adamw with training.strategy.type: fsdp (", "method.type: lora ("],
            "hyperparameters.optimizer",
        ),
        (
            LLAMA_8B,
            {"method": {"type": "full"}, "world": {"processesPerNode": 8}, "strategy": {"type": "deepspeed", "zeroStage": 1}},
            gpu(64, 8),
            ["training.strategy.zeroStage: 2 (", "training.nodes: 2 with training.strategy: {type: fsdp} ("],
            "training.strategy.zeroStage",
        ),
        (
            LLAMA_8B,
            {"method": {"type": "full"}, "world": {"processesPerNode": 8}, "strategy": {"type": "deepspeed", "zeroStage": 2}},
            gpu(36, 8),
            ["training.strategy.offload: optimizer (", "method.type: lora ("],
            "training.strategy.offload",
        ),
        (
            LLAMA_8B,
            {"method": {"type": "full"}, "world": {"processesPerNode": 8}, "strategy": {"type": "deepspeed", "zeroStage": 2}},
            gpu(36, 8) | {"hostMemory": 100 * GIB},
            ["training.strategy: {type: fsdp} (", "method.type: lora ("],
            "training.strategy",
        ),
        (
            LLAMA_8B,
            {"method": {"type": "full"}, "strategy": {"type": "deepspeed", "zeroStage": 1}},
            gpu(80),
            ["training.strategy: {type: deepspeed, offload: optimizer, zeroStage: 2} (", "method.type: lora ("],
            "training.strategy",
        ),
        (
            LLAMA_8B,
            {"method": {"type": "full"}, "world": {"processesPerNode": 8}, "strategy": {"type": "fsdp", "sharding": "grad"}},
            gpu(40, 8),
            ["training.strategy.sharding: full (", "training.nodes: 2 with training.strategy.sharding: full ("],
            "training.strategy.sharding",
        ),
        (
            SMALL,
            {"method": {"type": "full"}, "hyperparameters": {"precision": "fp32"}},
            {"memory": 3 * GIB, "memoryFrom": CPU_FROM},
            [
                "method.type: lora, hyperparameters.precision: bf16, hyperparameters.maxSequenceLength: ",
                "method.type: lora, hyperparameters.precision: bf16, a base model of at most", f"{CPU_FROM}: 6Gi",
            ],
            "method.type",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    model: Any, settings: dict[str, Any], hardware: dict[str, Any], changes: list[str], param: str
) -> None:
    """With what is needed, what there is, who says so, and changes that the same formula has found to fit."""
    with pytest.raises(StageFailure) as caught:
        tried(model, hardware, **settings)
    error = caught.value.error
    assert caught.value.exit_code == ExitCode.DOES_NOT_FIT
    assert (error.code, error.param) == ("DoesNotFit", param)
    assert f"there are {hardware['memory'] / GIB:.1f} GiB ({hardware['memoryFrom']})" in error.message
    places = [error.message.find(change) for change in changes]
    assert -1 not in places, error.message
    assert places == sorted(places)
    assert error.details[0].startswith("needed for one example of 2,000 tokens at a time")


EIGHT = {"processesPerNode": 8}
BF16_8B = {"method": {"type": "full"}, "world": EIGHT}
AS_GIVEN = "as given"


@pytest.mark.parametrize(
    ("settings", "hardware", "type", "setting", "reason"),
    [
        ({}, gpu(80), "ddp", None, "there is one process"),
        ({"world": EIGHT}, gpu(80, 8), "ddp", None, "every process can hold the whole model"),
        (BF16_8B, gpu(80, 8), "fsdp", "grad", "ddp would need 1"),
        (BF16_8B, gpu(40, 8), "fsdp", "full", "fsdp with sharding full needs"),
        (BF16_8B, {"gpus": 8}, "fsdp", "full", "the available memory is unknown, and weights, gradients and optimizer of the whole model"),
        ({"world": EIGHT}, {"gpus": 8}, "ddp", None, "the available memory is unknown"),
        ({"world": EIGHT, "strategy": {"type": "ddp"}}, gpu(80, 8), "ddp", None, AS_GIVEN),
        ({"world": EIGHT, "strategy": {"type": "fsdp"}}, gpu(80, 8), "fsdp", "grad", AS_GIVEN),
        (BF16_8B | {"strategy": {"type": "fsdp"}}, gpu(40, 8), "fsdp", "full", AS_GIVEN),
        ({"world": EIGHT, "strategy": {"type": "fsdp", "sharding": "full"}}, gpu(80, 8), "fsdp", "full", AS_GIVEN),
        ({"strategy": {"type": "fsdp"}}, gpu(80), "fsdp", "grad", AS_GIVEN),
        (BF16_8B | {"hyperparameters": {"optimizer": "muon"}}, gpu(141, 8), "ddp", None, "every process can hold the whole model"),
        ({"world": EIGHT, "strategy": {"type": "deepspeed"}}, gpu(80, 8), "deepspeed", 1, AS_GIVEN),
        (BF16_8B | {"strategy": {"type": "deepspeed"}}, gpu(80, 8), "deepspeed", 1, AS_GIVEN),
        (BF16_8B | {"strategy": {"type": "deepspeed"}}, gpu(64, 8), "deepspeed", 2, AS_GIVEN),
        (BF16_8B | {"strategy": {"type": "deepspeed"}}, gpu(40, 8), "deepspeed", 3, AS_GIVEN),
        (BF16_8B | {"strategy": {"type": "deepspeed"}}, {"gpus": 8}, "deepspeed", 3, AS_GIVEN),
        (BF16_8B | {"strategy": {"type": "deepspeed", "zeroStage": 3}}, gpu(80, 8), "deepspeed", 3, AS_GIVEN),
        (BF16_8B | {"strategy": {"type": "tensor-parallel"}}, gpu(80, 8), "tensor-parallel", 8, AS_GIVEN),
        (BF16_8B | {"strategy": {"type": "tensor-parallel", "tensorParallelSize": 4}}, gpu(80, 8), "tensor-parallel", 4, AS_GIVEN),
        ({"world": {"nodes": 2}, "strategy": {"type": "tensor-parallel"}}, gpu(80, 2), "tensor-parallel", 2, AS_GIVEN),
    ],
)
def test_strategy(settings: dict[str, Any], hardware: dict[str, Any], type: str, setting: str | int | None, reason: str) -> None:
    """The fastest with which an 8B model fits, unless the spec chooses; its settings and the reason are among the hyperparameters."""
    found = tried(LLAMA_8B, hardware, **settings)
    settings_of = found.strategy.model_dump(exclude={"type", "offload"}, exclude_none=True)
    assert (found.strategy.type, next(iter(settings_of.values()), None)) == (type, setting)
    assert found.decided.reasons["strategy"].value == type
    assert reason in found.decided.reasons["strategy"].reason
    assert ("strategy.sharding" in found.decided.reasons) == (type == "fsdp")
    assert ("strategy.zeroStage" in found.decided.reasons) == (type == "deepspeed")
    assert ("strategy.tensorParallelSize" in found.decided.reasons) == (type == "tensor-parallel")


@pytest.mark.parametrize(
    ("strategy", "field"),
    [
        ({"type": "ddp", "sharding": "full"}, "sharding"),
        ({"type": "deepspeed", "sharding": "full"}, "sharding"),
        ({"type": "fsdp", "zeroStage": 2}, "zeroStage"),
        ({"type": "auto", "zeroStage": 3}, "zeroStage"),
        ({"type": "fsdp", "tensorParallelSize": 2}, "tensorParallelSize"),
        ({"type": "fsdp", "offload": "optimizer"}, "offload"),
    ],
)
def test_a_setting_of_another_strategy(strategy: dict[str, Any], field: str) -> None:
    """Is refused, because it would be ignored."""
    with pytest.raises(StageFailure, match=rf"training\.strategy\.{field}: .* remove it") as refused:
        tried(SMALL, {}, strategy=strategy)
    assert refused.value.error.param == f"training.strategy.{field}"


@pytest.mark.parametrize(("offload", "stage"), [("none", 2), ("optimizer", 2), ("parameters", 3)])
def test_the_first_stage_that_can_offload(offload: str, stage: int) -> None:
    """Is taken if the spec leaves it open; the reason of the offload says how much it moves."""
    settings: dict[str, Any] = BF16_8B | {"strategy": {"type": "deepspeed", "offload": offload}}
    found = tried(LLAMA_8B, gpu(60, 8), **settings)
    assert (found.strategy.zero_stage, found.strategy.offload) == (stage, offload)
    reason = found.decided.reasons.get("strategy.offload")
    assert (reason is None) == (offload == "none")
    assert reason is None or "GiB of host memory in each pod" in reason.reason


@pytest.mark.parametrize(
    ("strategy", "hardware", "param", "words"),
    [
        ({"offload": "optimizer"}, {}, "training.strategy.offload", "the training has no GPUs: remove it"),
        ({"offload": "optimizer", "zeroStage": 1}, gpu(80, 8), "training.strategy.offload", "needs zeroStage 2 or 3, and"),
        ({"offload": "parameters", "zeroStage": 2}, gpu(80, 8), "training.strategy.offload", "needs zeroStage 3, and"),
        ({"offload": "optimizer"}, gpu(80, 8) | {"hostMemory": 100 * GIB}, "training.resources.limits.memory", "in each pod"),
        ({"offload": "optimizer"}, gpu(80, 8) | {"hostMemory": 200 * GIB}, "training.resources.limits.memory", "in each pod"),
    ],
)
def test_an_offload_that_cannot_work(strategy: dict[str, Any], hardware: dict[str, Any], param: str, words: str) -> None:
    """Names the field and what would work."""
    settings: dict[str, Any] = BF16_8B | {"strategy": {"type": "deepspeed"} | strategy}
    with pytest.raises(StageFailure, match=words) as refused:
        tried(LLAMA_8B, hardware, **settings)
    assert refused.value.error.param == param


def test_an_unknown_strategy() -> None:
    """Is refused with the known ones."""
    with pytest.raises(StageFailure, match=r"training\.strategy\.type: unknown strategy 'zero-9'; known: ddp, fsdp, deepspeed"):
        tried(SMALL, {}, strategy={"type": "zero-9"})


@pytest.mark.parametrize(
    ("settings", "hardware", "change"),
    [
        ({"method": {"type": "full"}}, gpu(80), {"method": {"type": "lora"}}),
        ({"hyperparameters": {"gradientCheckpointing": False}}, gpu(24), {"hyperparameters": {"gradientCheckpointing": True}}),
        (BF16_8B | {"hyperparameters": {"optimizer": "lion"}}, gpu(40, 8), {"hyperparameters": {}}),
        (BF16_8B | {"strategy": {"type": "deepspeed", "zeroStage": 1}}, gpu(64, 8), {"strategy": {"type": "deepspeed", "zeroStage": 2}}),
        (
            BF16_8B | {"strategy": {"type": "deepspeed", "zeroStage": 2}},
            gpu(36, 8),
            {"strategy": {"type": "deepspeed", "zeroStage": 2, "offload": "optimizer"}},
        ),
    ],
)
def test_a_change_that_is_named_fits(settings: dict[str, Any], hardware: dict[str, Any], change: dict[str, Any]) -> None:
    """Who follows the advice is not refused again."""
    with pytest.raises(StageFailure):
        tried(LLAMA_8B, hardware, **settings)
    tried(LLAMA_8B, hardware, **settings | change)


def test_a_shorter_sequence_that_is_named_fits() -> None:
    """Examples that are longer are cut to it."""
    settings: dict[str, Any] = {"hyperparameters": {"gradientCheckpointing": False}}
    with pytest.raises(StageFailure) as caught:
        tried(LLAMA_8B, gpu(24), **settings)
    length = int(caught.value.error.message.split("maxSequenceLength: ")[1].split()[0])
    tried(LLAMA_8B, gpu(24), np.minimum(LENGTHS, length), **settings)
    assert length % 64 == 0


T4 = "Tesla-T4"
FP32: dict[str, Any] = {"hyperparameters": {"precision": "fp32"}}


@pytest.mark.parametrize(
    ("settings", "hardware", "half"),
    [
        (FP32, gpu(24), "bf16"),
        ({"hyperparameters": {"precision": "tf32"}}, gpu(24), "bf16"),
        (FP32, gpu(24, product=T4), "fp16"),
        ({}, gpu(24, product=T4), "fp16"),
        (FP32, {"memory": 24 * GIB, "memoryFrom": CPU_FROM}, "bf16"),
    ],
    ids=["fp32", "tf32", "fp32 without bf16", "nothing without bf16", "cpu"],
)
def test_a_precision_that_is_named_fits(settings: dict[str, Any], hardware: dict[str, Any], half: str) -> None:
    """It is one that the GPU has, also where fp32 was chosen for want of bf16."""
    with pytest.raises(StageFailure, match=f"It would fit with .*precision: {half}"):
        tried(LLAMA_8B, hardware, **settings)
    tried(LLAMA_8B, hardware, hyperparameters={"precision": half})


def test_a_precision_that_the_strategy_cannot_train_is_not_named() -> None:
    """deepspeed has no scaled loss."""
    with pytest.raises(StageFailure) as caught:
        tried(LLAMA_8B, gpu(18, 2, T4), world={"processesPerNode": 2}, strategy={"type": "deepspeed"}, **FP32)
    assert not any("precision" in line for line in [str(caught.value), *caught.value.error.details])


def test_nobody_says_how_much_there_is() -> None:
    """Then nothing is refused, and what is needed is reported all the same."""
    memory = tried(LLAMA_8B, {"gpus": 8}, method={"type": "full"}).memory
    assert memory.available is None
    assert memory.total > 100 * GIB


@pytest.mark.parametrize(
    ("method", "precision", "weights", "gradients", "optimizer"),
    [
        ("full", "bf16", 4, 4, 8),
        ("full", "fp32", 4, 4, 8),
        ("lora", "bf16", 2, 0, 0),
        ("lora", "fp32", 4, 0, 0),
    ],
)
def test_what_a_parameter_costs(method: str, precision: str, weights: int, gradients: int, optimizer: int) -> None:
    """Frozen weights in the run's precision; trained ones in fp32 with a gradient and two moments; adapters on top."""
    found = tried(SMALL, {}, method={"type": method}, hyperparameters={"precision": precision})
    parameters, adapter = SMALL[1].parameters, 0
    if found.decided.method.lora is not None:
        adapter = LORA.trained(parameters, SMALL[1].linear_layers, found.decided.method)
    assert found.memory.weights == weights * parameters + 4 * adapter
    assert found.memory.gradients == gradients * parameters + 4 * adapter
    assert found.memory.optimizer == optimizer * parameters + 8 * adapter


@pytest.mark.parametrize(("method", "share"), [("full", 1 / 400), ("lora", 1 / 4)])
def test_adafactor_keeps_rows_and_columns(method: str, share: float) -> None:
    """Of whole matrices hardly anything; of adapters, whose matrices are narrow, a part."""
    settings: dict[str, Any] = {"method": {"type": method}}
    adamw, adafactor = (tried(SMALL, {}, **settings, hyperparameters={"optimizer": name}) for name in ("adamw", "adafactor"))
    assert 0 < adafactor.memory.optimizer < share * adamw.memory.optimizer
    assert (adamw.optimizer, adafactor.optimizer) == (adamw.memory.optimizer, adafactor.memory.optimizer)


@pytest.mark.parametrize("fused", [False, True], ids=["apart", "fused"])
def test_muon_leaves_experts_to_adamw(fused: bool) -> None:
    """They are tensors of three dimensions, however their file has them: 8 bytes a parameter, as for embeddings and norms."""
    config, weights = mixture(fused=fused)
    matrices = [name for name, shape in weights.shapes.items() if ".layers." in name and len(shape) == 2 and "experts" not in name]
    muon = sum(math.prod(weights.shapes[name]) for name in matrices)
    found = tried((config, weights), {}, method={"type": "full"}, hyperparameters={"optimizer": "muon"})
    assert found.memory.optimizer == 4 * muon + 8 * (weights.parameters - muon)


@pytest.mark.parametrize("around", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("model", [SMALL, MINILM], ids=["decoder", "encoder"])
def test_memory_grows_with_the_work(model: Any, around: Any) -> None:
    """More tokens, longer rows, more supervised positions and fewer savings never need less."""
    config, weights = model
    run = run_config(Path("/tmp"), strategy={"type": "ddp"})
    decided = resolve_hyperparameters(run, Facts(100, ResolvedParameter(value=64, reason=""), weights.parameters))
    facts = TrainingFacts(config, weights, LENGTHS, LENGTHS // 2)
    keeping, computing = (trained_model(run, decided, facts, checkpointing) for checkpointing in (False, True))
    base = need(keeping, Micro(512, 128, 128), around).total
    for heavier in (Micro(1024, 128, 128), Micro(512, 256, 128), Micro(512, 128, 512)):
        assert need(keeping, heavier, around).total >= base
    assert need(computing, Micro(512, 128, 128), around).total < base


def test_shapes_are_read_from_the_config_and_the_tensors() -> None:
    """Families name things differently."""
    llama, bert = model_shape(*SMALL), model_shape(*MINILM)
    assert (llama.layers, llama.hidden, llama.query, llama.intermediate, llama.gated, llama.rms) == (30, 576, 576, 1536, True, True)
    assert (llama.norms, llama.inputs, llama.attention_out, llama.largest) == (2 * 576, 6 * 576 + 1536, 576, 49152 * 576)
    assert (bert.layers, bert.gated, bert.rms, bert.attention_dropout, bert.hidden_dropout) == (6, False, False, True, True)
    assert (bert.norms, bert.inputs, bert.attention_out) == (2 * 384, 5 * 384 + 1536, 384)


def test_layers_that_share_their_weights_have_activations_of_their_own() -> None:
    """A token of an ALBERT keeps as much as one of the BERT of as many layers."""
    classify: dict[str, Any] = {"task": "sequence-classification", "labels": 3}
    shared, apart = (tried(model, {}, **classify).memory for model in (ALBERT, bert(12, 768, 12, 3072, 30000)))
    assert shared.activations == apart.activations
    assert shared.weights < apart.weights


def test_a_model_that_cannot_compute_activations_again_is_refused_where_others_would() -> None:
    """Neither chosen nor advised: the rank would end with an error, on the GPU."""
    classify: dict[str, Any] = {"task": "sequence-classification", "labels": 3, "method": {"type": "full"}}
    hardware = {"memory": 1800 << 20, "memoryFrom": CPU_FROM}
    lengths = np.full(100, 512, dtype=np.int64)
    known = ALBERT[0] | {"architectures": ["BertModel"]}, ALBERT[1]
    assert tried(known, hardware, lengths, **classify).memory.gradient_checkpointing
    for given in ({}, {"gradientCheckpointing": False}):
        with pytest.raises(StageFailure) as caught:
            tried(ALBERT, hardware, lengths, hyperparameters=given, **classify)
        assert "gradientCheckpointing" not in str(caught.value)
    found = tried(ALBERT, gpu(80), lengths, **classify)
    assert found.decided.reasons["gradientCheckpointing"].reason == "the base model does not support gradient checkpointing"


def test_a_classifier_has_padded_rows() -> None:
    """Rows of one micro-batch are as wide as its longest; logits are few."""
    lengths = np.tile(np.array([16, 64, 128], dtype=np.int64), 20)
    memory = tried(MINILM, {}, lengths, labels=3, task="sequence-classification", method={"type": "full"}).memory
    assert memory.logits < 1 << 20
    assert memory.total < 2 * GIB


def test_the_stage_ends_with_the_refusal(tmp_path: Path) -> None:
    """With an exit code of its own and the report of the data, and nothing that a training could start from."""
    make_base(tmp_path / "base")
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(map(good, range(40))))
    run = run_config(tmp_path, hardware={"memory": GIB // 2, "memoryFrom": CPU_FROM})
    (tmp_path / "run.json").write_text(run.to_json())
    assert main(["prepare", "--run", str(tmp_path / "run.json")]) == ExitCode.DOES_NOT_FIT
    workspace = Workspace(tmp_path / "workspace")
    assert not workspace.prepared.exists()
    report = DatasetReport.from_json(workspace.report.read_bytes())
    assert report.valid and report.train and report.train.examples == 36


def test_ranks_choose_where_nobody_knows_the_memory() -> None:
    """The largest micro-batch that fits into what they find; what prepare chose where none does, or where it knew."""
    found = tried(LLAMA_8B, {"gpus": 8})
    summary = PrepareSummary(
        dataset=DatasetSummary(train_examples=1, validation_examples=0, train_tokens=0, supervised_tokens=0, digest="d"),
        hyperparameters={}, total_steps=1, estimate=Estimate(model_bytes=0, workspace_bytes=0), base_digest="b", base_parameters=0,
    )  # fmt: skip
    values = found.decided.values
    prepared = Prepared(
        spec_digest="",
        base_path="",
        method=found.decided.method,
        hyperparameters=values,
        micro_batches=found.micro_batches,
        files={},
        summary=summary,
    )
    assert prepared.fitted_to(16 * GIB) == prepared
    for gib in (24, 40, 80, 141):
        known = tried(LLAMA_8B, gpu(gib))
        chosen = prepared.fitted_to(gib * GIB).hyperparameters
        wanted = known.decided.values
        assert (chosen.micro_batch_tokens, chosen.gradient_checkpointing) == (wanted.micro_batch_tokens, wanted.gradient_checkpointing)
        assert known.micro_batches == []
