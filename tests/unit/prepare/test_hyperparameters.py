"""What prepare decides where the spec leaves it open."""

import math
from pathlib import Path
from typing import Any

import pytest

from finetune_api.resources.learning import Hyperparameters
from finetune_api.result import ResolvedParameter
from finetune_trainer.failure import StageFailure
from finetune_trainer.prepare.examples.examples import check_length, decide_length
from finetune_trainer.prepare.hyperparameters import Facts, resolve_hyperparameters
from finetune_trainer.workspace.prepared import ResolvedHyperparameters
from tests.unit.prepare.run import run_config

LENGTH = ResolvedParameter(value=256, reason="99 % of the examples have at most 250 tokens")


def decide(
    examples: int, parameters: float = 1e8, length: ResolvedParameter = LENGTH, **settings: Any
) -> tuple[ResolvedHyperparameters, dict[str, ResolvedParameter]]:
    """The decision for a dataset and a model of that size."""
    decided = resolve_hyperparameters(run_config(Path("/tmp"), **settings), Facts(examples, length, int(parameters)))
    return decided.values, decided.reasons


@pytest.mark.parametrize(
    "examples, batch, epochs, per_epoch, total",
    [
        (8, 4, 5, 2, 10),
        (3, 3, 5, 1, 5),
        (100, 4, 5, 25, 125),
        (101, 4, 3, 26, 78),
        (360, 8, 3, 45, 135),
        (1000, 16, 3, 63, 189),
        (5000, 32, 2, 157, 314),
        (100_000, 32, 1, 3125, 3125),
    ],
)
def test_length_of_a_run(examples: int, batch: int, epochs: float, per_epoch: int, total: int) -> None:
    """Fewer examples: smaller steps, more epochs. The last step of an epoch takes what is left."""
    decided, reasons = decide(examples)
    assert (decided.batch_size, decided.steps_per_epoch, decided.total_steps) == (batch, per_epoch, total)
    assert (reasons["epochs"].value, reasons["maxSteps"].value) == (epochs, total)


@pytest.mark.parametrize(
    "given, total, epochs",
    [({"maxSteps": 7}, 7, 0.28), ({"epochs": 2.5}, 62, 2.5), ({"epochs": 0.001}, 1, 0.001), ({"epochs": 1, "batchSize": 50}, 2, 1)],
)
def test_epochs_and_steps_follow_from_each_other(given: dict[str, Any], total: int, epochs: float) -> None:
    """At least one step is made."""
    decided, reasons = decide(100, hyperparameters=given)
    assert decided.total_steps == total
    assert reasons["epochs"].value == pytest.approx(epochs)


@pytest.mark.parametrize(
    "parameters, method, rate",
    [(135e6, "lora", 5e-4), (7e9, "lora", 2e-4), (70e9, "lora", 1e-4), (135e6, "full", 5e-5), (7e9, "full", 2e-5), (70e9, "full", 1e-5)],
)
def test_learning_rate(parameters: float, method: str, rate: float) -> None:
    """Larger models take smaller steps; adapters ten times larger ones."""
    assert decide(100, parameters, method={"type": method})[0].learning_rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("given", "optimizer", "rate", "decay"),
    [
        ({}, "adamw", 5e-5, 0.01),
        ({"optimizer": "adamw-8bit"}, "adamw-8bit", 5e-5, 0.01),
        ({"optimizer": "lion"}, "lion", 1e-5, 0.05),
        ({"optimizer": "lion", "learningRate": 3e-5, "weightDecay": 0.02}, "lion", 3e-5, 0.02),
        ({"optimizer": "lion", "learningRateMultiplier": 2}, "lion", 2e-5, 0.05),
    ],
)
def test_an_optimizer_may_need_other_rates(given: dict[str, Any], optimizer: str, rate: float, decay: float) -> None:
    """Lion's steps are all of the same size: smaller ones, with more decay; a given value is taken as it is."""
    values, reasons = decide(100, method={"type": "full"}, hyperparameters=given)
    assert values.optimizer == optimizer
    assert (values.learning_rate, values.weight_decay) == pytest.approx((rate, decay))
    assert ("Lion" in reasons["learningRate"].reason) == (optimizer == "lion" and "learningRate" not in given)
    assert ("Lion" in reasons["weightDecay"].reason) == (optimizer == "lion" and "weightDecay" not in given)


def test_no_weight_decay_is_not_scaled() -> None:
    """Adapters have none, whatever the optimizer."""
    values, reasons = decide(100, hyperparameters={"optimizer": "lion"})
    assert (values.weight_decay, reasons["weightDecay"].reason) == (0, "usual for LoRA")


@pytest.mark.parametrize("world, batch", [({}, 4), ({"nodes": 3}, 6), ({"nodes": 2, "processesPerNode": 8}, 16)])
def test_each_process_has_an_example(world: dict[str, int], batch: int) -> None:
    """The automatic batch is a multiple of the number of processes."""
    assert decide(100, world=world)[0].batch_size == batch


@pytest.mark.parametrize(
    "parameters, method, rate",
    [
        (22e6, "lora", 5e-4),
        (300e6, "lora", 3e-4),
        (600e6, "lora", 2e-4),
        (22e6, "full", 5e-5),
        (300e6, "full", 3e-5),
        (600e6, "full", 2e-5),
    ],
)
def test_learning_rate_of_an_encoder(parameters: float, method: str, rate: float) -> None:
    """2e-5 to 5e-5 with full weights, ten times as much with adapters; linear, with a warm-up of a tenth, however long the run is."""
    decided, _ = decide(5000, parameters, task="sequence-classification", method={"type": method})
    assert decided.learning_rate == pytest.approx(rate)
    assert (decided.scheduler, decided.warmup_steps) == ("linear", math.ceil(decided.total_steps / 10))


@pytest.mark.parametrize("examples, epochs", [(50, 10), (500, 5), (5000, 3), (50_000, 2)])
def test_an_encoder_takes_more_epochs(examples: int, epochs: float) -> None:
    """Its head is new."""
    assert decide(examples, task="token-classification")[1]["epochs"].value == epochs


@pytest.mark.parametrize(
    "given, rate, reason",
    [
        ({"learningRateMultiplier": 2}, 1e-3, "automatic 0.0005 x 2: LoRA of a model with 100 million parameters"),
        ({"learningRateMultiplier": 0.1}, 5e-5, "automatic 0.0005 x 0.1: LoRA of a model with 100 million parameters"),
        ({"batchSize": 64}, 7.07e-4, "LoRA of a model with 100 million parameters, x 1.4 for batches of 64"),
        ({"batchSize": 1024}, 1e-3, "LoRA of a model with 100 million parameters, x 2 for batches of 1024"),
        ({"learningRate": 0.1}, 0.1, "as given"),
    ],
)
def test_learning_rate_multiplier(given: dict[str, Any], rate: float, reason: str) -> None:
    """Of the automatic rate, as OpenAI and Azure have it; larger batches take larger steps."""
    decided, reasons = decide(5000, hyperparameters=given)
    assert decided.learning_rate == pytest.approx(rate)
    assert (reasons["learningRate"].value, reasons["learningRate"].reason) == (decided.learning_rate, reason)
    assert ("learningRateMultiplier" in reasons) == ("learningRate" not in given)


@pytest.mark.parametrize(
    ("task", "method", "rows"),
    [
        ("chat", {"type": "lora", "objective": "kto"}, 240),  # 6 operations in a step, 4 in a validation
        ("chat", {"type": "full", "objective": "kto"}, 320),  # 8 and 4
        ("text-embedding", {"type": "lora"}, 480),  # 6 and 2
        ("text-embedding", {"type": "full"}, 640),  # 8 and 2
    ],
)
def test_a_validation_costs_as_many_passes_as_the_rows_need(task: str, method: dict[str, Any], rows: int) -> None:
    """Rated answers have mismatched ones beside them; their steps, and those of embeddings, begin with a pass without gradient. A tenth of
    the time of 100 steps of 16 rows."""
    config = run_config(
        Path("/tmp"), task=task, evaluation={"everySteps": 100, "maxExamples": 1000}, method=method, hyperparameters={"batchSize": 16}
    )
    decided = resolve_hyperparameters(config, Facts(1000, LENGTH, int(1e8), 50, 1000, 50)).values
    assert decided.validation_examples == rows


@pytest.mark.parametrize(
    ("every", "held_out", "longer", "method", "rows", "reason"),
    [
        (100, 1000, 1, "lora", 320, "of 500: takes about 10% of the time of 100 steps"),  # 0.1 x 100 steps x 16 rows x 4 / 2 operations
        (100, 1000, 1, "full", 480, "of 500: takes about 10% of the time of 100 steps"),
        (100, 1000, 2, "lora", 160, "of 500: takes about 10% of the time of 100 steps"),
        (100, 90, 1, "lora", 90, "of 90: takes about 3% of the time of 100 steps"),
        (1, 1000, 1, "lora", 32, "of 500: takes about 100% of the time of 1 step"),
        (1, 8, 1, "lora", 8, "of 8: takes about 25% of the time of 1 step"),
    ],
)
def test_a_validation_has_its_share_of_the_time(every: int, held_out: int, longer: float, method: str, rows: int, reason: str) -> None:
    """A tenth, as computed from rows and operations and not measured, so that every attempt has the same rows; at least 32 rows."""
    config = run_config(Path("/tmp"), evaluation={"everySteps": every}, method={"type": method})
    decided = resolve_hyperparameters(config, Facts(1000, LENGTH, int(1e8), 50, held_out, 50 * longer))
    assert (decided.values.validation_every, decided.values.validation_examples) == (every, rows)
    assert decided.reasons["validationExamples"] == ResolvedParameter(value=rows, reason=reason)


@pytest.mark.parametrize(
    ("given", "best", "reason"),
    [
        ({}, False, "the default without earlyStopping"),
        ({"earlyStopping": {}}, True, "earlyStopping is set"),
        ({"earlyStopping": {}, "loadBestModelAtEnd": False}, False, "as given"),
        ({"loadBestModelAtEnd": True}, True, "as given"),
    ],
)
def test_the_best_weights_are_the_result_of_a_training_that_stops_early(given: dict[str, Any], best: bool, reason: str) -> None:
    """As transformers' EarlyStoppingCallback asks for load_best_model_at_end; by default, as of OpenAI, the last ones are."""
    decided, reasons = decide(1000, evaluation={"everySteps": 5}, hyperparameters=given)
    assert (decided.load_best_model_at_end, decided.early_stopping is not None) == (best, "earlyStopping" in given)
    assert reasons["loadBestModelAtEnd"] == ResolvedParameter(value=best, reason=reason)
    assert ("earlyStopping.patience" in reasons) == ("earlyStopping" in given)


@pytest.mark.parametrize("given", [{"earlyStopping": {}}, {"loadBestModelAtEnd": True}])
def test_what_needs_a_validation_loss_is_refused_without_validations(given: dict[str, Any]) -> None:
    """A run config that was written by hand has not been through the API server's rules."""
    with pytest.raises(StageFailure, match=r"needs the validation loss of the training: set evaluation\.everySteps"):
        decide(1000, hyperparameters=given)


@pytest.mark.parametrize(("between", "given", "every"), [(None, None, 19), (5, None, 20), (50, None, 50), (1, None, 19), (5, 7, 7)])
def test_checkpoints_have_a_validation_loss(between: int | None, given: int | None, every: int) -> None:
    """A tenth of 189 steps, at steps that are validated; as given, where it is."""
    assert decide(1000, evaluation={"everySteps": between}, checkpoints={"everySteps": given})[0].checkpoint_every == every


@pytest.mark.parametrize(("given", "reason"), [({"maxSteps": 21}, "as given"), ({"maxSteps": 20}, "as given; too few to stop early: ")])
def test_a_training_with_few_validations_cannot_stop_early(given: dict[str, Any], reason: str) -> None:
    """The status says so: a validation every 5 steps and after the last one, a patience of 3, and the first one is no miss."""
    _, reasons = decide(1000, evaluation={"everySteps": 5}, hyperparameters=given | {"earlyStopping": {}})
    said = reasons["earlyStopping.patience"].reason
    assert said == reason + ("the training has 4 validations" if ";" in reason else "")


@pytest.mark.parametrize(
    ("steps", "every", "between", "best", "refused"),
    [
        (10, 9, 5, False, ""),
        (10, 10, 5, False, "checkpoints.everySteps"),
        (10, 10, 5, True, ""),
        (10, 10, 10, True, "checkpoints.everySteps"),
        (10, None, 5, False, ""),
        (10, None, 10, False, ""),
        (1, None, 5, False, "checkpoints.publish"),
    ],
)
def test_checkpoints_to_publish_are_written(steps: int, every: int | None, between: int, best: bool, refused: str) -> None:
    """Before the last step, whose weights are the model, or when a validation finds a lower loss."""
    settings: dict[str, Any] = {
        "hyperparameters": {"maxSteps": steps, "loadBestModelAtEnd": best},
        "evaluation": {"everySteps": between},
        "checkpoints": {"everySteps": every, "publish": True},
    }
    if not refused:
        decided, _ = decide(1000, **settings)
        assert decided.checkpoint_every < steps or best
        return
    with pytest.raises(StageFailure, match=r"no checkpoint to publish: (lower everySteps|train for more steps)") as failed:
        decide(1000, **settings)
    assert failed.value.error.param == refused


@pytest.mark.parametrize(
    ("batch", "gpus", "strategy", "refused"),
    [
        (3, 1, {}, "only 3 of the 4 GPUs"),
        (4, 1, {}, ""),
        (None, 1, {}, ""),
        (3, 0, {}, ""),
        (1, 1, {"type": "tensor-parallel", "tensorParallelSize": 2}, "only 2 of the 4 GPUs"),
        (2, 1, {"type": "tensor-parallel", "tensorParallelSize": 2}, ""),
        (1, 1, {"type": "tensor-parallel"}, ""),
    ],
)
def test_every_gpu_has_an_example(batch: int | None, gpus: int, strategy: dict[str, Any], refused: str) -> None:
    """In a step; those that divide the layers share theirs. On CPUs a process more costs nothing."""
    world = {"nodes": 1, "processesPerNode": 4}
    settings: dict[str, Any] = {
        "world": world,
        "hardware": {"gpus": gpus * 4},
        "strategy": strategy,
        "hyperparameters": {"batchSize": batch},
    }
    if not refused:
        decide(1000, **settings)
        return
    with pytest.raises(StageFailure, match=f"hyperparameters.batchSize is {batch}, so {refused}") as failed:
        decide(1000, **settings)
    assert failed.value.error.param == "hyperparameters.batchSize"


def test_by_default_nothing_is_validated() -> None:
    """And nothing is said of it."""
    decided, reasons = decide(1000)
    assert (decided.validation_every, [name for name in reasons if "alidation" in name]) == (None, [])


def test_many_examples_take_half_the_rate() -> None:
    """A long way at full speed leads far from the base."""
    assert decide(200_000)[0].learning_rate == pytest.approx(2.5e-4)


@pytest.mark.parametrize(
    "examples, given, rank, alpha",
    [
        (100, {}, 16, 32),
        (50_000, {}, 32, 64),
        (200_000, {}, 64, 128),
        (100, {"rank": 4}, 4, 8),
        (100, {"alpha": 8}, 16, 8),
        (100, {"rank": 8, "alpha": 1.5}, 8, 1.5),
        (100, {"rslora": True}, 16, 8),
    ],
)
def test_rank_and_alpha(examples: int, given: dict[str, Any], rank: int, alpha: float) -> None:
    """More examples, larger adapters; alpha is twice the rank, or a scale of 2 with rslora. The rest of the adapter is as given."""
    run = run_config(Path("/tmp"), method={"type": "lora", "lora": {"dropout": 0.2, "targetModules": ["q_proj"], **given}})
    lora = resolve_hyperparameters(run, Facts(examples, LENGTH, 10**8)).method.lora
    assert lora is not None
    assert (lora.rank, lora.alpha, lora.dropout, lora.target_modules) == (rank, alpha, 0.2, ["q_proj"])


def test_full_fine_tuning_has_no_adapter() -> None:
    """Nor a rank to be shown."""
    decided = resolve_hyperparameters(run_config(Path("/tmp"), method={"type": "full"}), Facts(100, LENGTH, 10**8))
    assert decided.method.lora is None
    assert not {"lora.rank", "lora.alpha"} & decided.reasons.keys()


@pytest.mark.parametrize("product, precision", [("Tesla-T4", "fp32"), ("NVIDIA-A10", "bf16"), ("", "bf16")])
def test_precision_of_the_gpu(product: str, precision: str) -> None:
    """A GPU that is known not to compute in bf16 gets fp32."""
    assert decide(100, hardware={"gpus": 1, "gpuProduct": product})[0].precision == precision


@pytest.mark.parametrize("product, precision", [("Tesla-T4", "fp16"), ("NVIDIA-A10", "fp16"), ("NVIDIA-A10", "tf32"), ("", "tf32")])
def test_other_precisions_are_taken_on_gpus(product: str, precision: str) -> None:
    """Where they are given; a GPU without bf16 has fp16."""
    hardware = {"gpus": 1, "gpuProduct": product}
    assert decide(100, hardware=hardware, hyperparameters={"precision": precision})[0].precision == precision


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_a_precision_that_the_gpu_lacks_is_refused(precision: str) -> None:
    """Before the GPU is asked for."""
    with pytest.raises(
        StageFailure,
        match=rf"precision is {precision}, and the training may run on a node whose GPU, Tesla-T4, does not support it: set fp16 or fp32",
    ) as caught:
        decide(100, hardware={"gpus": 1, "gpuProduct": "Tesla-T4"}, hyperparameters={"precision": precision})
    assert (caught.value.error.code, caught.value.error.param) == ("PrecisionNotSupported", "hyperparameters.precision")


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_precisions_of_gpus_are_refused_without_one(precision: str) -> None:
    """A CPU computes in fp16 many times slower, and has no tf32."""
    with pytest.raises(StageFailure, match=rf"precision is {precision}, which needs GPUs: set training\.gpusPerNode") as caught:
        decide(100, hyperparameters={"precision": precision})
    assert (caught.value.error.code, caught.value.error.param) == ("PrecisionNotSupported", "hyperparameters.precision")


def test_every_parameter_has_a_value_and_a_reason() -> None:
    """Nothing in force is hidden from the user. Memory decides on gradient checkpointing; without validations there are no best weights."""
    reasons = decide(100)[1]
    names = {field.alias for field in Hyperparameters.model_fields.values()}
    unset = {"gradientCheckpointing", "gradientCheckpointingPolicy", "earlyStopping", "loadBestModelAtEnd", "neftuneNoise"}
    assert reasons.keys() == names - unset | {
        "checkpointEvery",
        "lora.rank",
        "lora.alpha",
    }
    assert all(reason.reason for reason in reasons.values())


def test_what_is_given_is_taken() -> None:
    """Every hyperparameter of the spec reaches the run as it is, with the reason that says so."""
    given = {
        "epochs": 2.0, "batchSize": 3, "learningRate": 0.001, "scheduler": "constant", "warmupRatio": 0.5, "weightDecay": 0.2,
        "maxGradNorm": 0.3, "precision": "fp32", "seed": 7,
    }  # fmt: skip
    length = ResolvedParameter(value=2048, reason="as given")
    decided, reasons = decide(30, length=length, hyperparameters=given, checkpoints={"everySteps": 5})
    assert {name: reasons[name].value for name in given} == given
    assert {reasons[name].reason for name in [*given, "checkpointEvery", "maxSequenceLength"]} == {"as given"}
    assert decided == ResolvedHyperparameters(
        total_steps=20, steps_per_epoch=10, batch_size=3, learning_rate=0.001, scheduler="constant", warmup_steps=10, weight_decay=0.2,
        max_grad_norm=0.3, max_sequence_length=2048, precision="fp32", seed=7, checkpoint_every=5, micro_batch_tokens=2048,
    )  # fmt: skip


@pytest.mark.parametrize(
    "given, lengths, model, expected",
    [
        (None, [10] * 99 + [300], 8192, 64),
        (None, [10] * 98 + [65, 65], 8192, 128),
        (None, [64], 8192, 64),
        (None, [5000], 2048, 2048),
        (None, [5000], None, 5056),
        (100, [5000], 2048, 100),
    ],
)
def test_longest_sequence(given: int | None, lengths: list[int], model: int | None, expected: int) -> None:
    """99 % of the examples stay whole, in multiples of 64, within what the model knows."""
    assert decide_length(given, lengths, model).value == expected


def test_a_sequence_longer_than_the_model_knows_is_refused() -> None:
    """Positions that a model was never trained on are not asked of it."""
    check_length(2048, 2048)
    check_length(4096, None)
    check_length(None, 8)
    with pytest.raises(StageFailure, match=r"maxSequenceLength is 4096, and the base model knows 2048 positions") as caught:
        check_length(4096, 2048)
    assert caught.value.error.param == "hyperparameters.maxSequenceLength"


def test_a_policy_needs_gradient_checkpointing() -> None:
    """Given, or left to prepare."""
    policy = {"gradientCheckpointingPolicy": "selective"}
    assert decide(100)[0].gradient_checkpointing_policy == "full"
    assert decide(100, hyperparameters=policy)[0].gradient_checkpointing_policy == "selective"
    with pytest.raises(StageFailure, match="has no effect, as gradientCheckpointing is false") as refused:
        decide(100, hyperparameters=policy | {"gradientCheckpointing": False})
    assert refused.value.error.param == "hyperparameters.gradientCheckpointingPolicy"


def test_noise_is_for_language_models() -> None:
    """There is none unless it is asked for; a classifier would ignore it."""
    assert decide(100)[0].neftune_noise is None
    assert "neftuneNoise" not in decide(100)[1]
    assert decide(100, hyperparameters={"neftuneNoise": 5})[0].neftune_noise == 5
    with pytest.raises(StageFailure, match=r"neftuneNoise is 5, and task sequence-classification trains no language model") as refused:
        decide(100, task="sequence-classification", hyperparameters={"neftuneNoise": 5})
    assert refused.value.error.param == "hyperparameters.neftuneNoise"


@pytest.mark.parametrize(
    ("gpus", "examples", "mean", "batch", "reason"),
    [
        (1, 100_000, 100, 32, "between 4 and 32 examples per step"),
        (2, 100_000, 100, 82, "about 4,096 tokens per GPU and step"),
        (16, 100_000, 100, 656, "about 4,096 tokens per GPU and step"),
        (16, 100_000, 4000, 32, "between 4 and 32 examples per step"),
        (16, 1000, 100, 64, "388 tokens per GPU: fewer GPUs would be as fast"),
    ],
)
def test_the_batch_keeps_every_gpu_busy(gpus: int, examples: int, mean: float, batch: int, reason: str) -> None:
    """Sized in tokens per GPU, with enough steps left to learn in; where the data is too small for that, the reason says so."""
    run = run_config(Path("/tmp"), hardware={"gpus": gpus}, world={"nodes": 1, "processesPerNode": gpus})
    decided = resolve_hyperparameters(run, Facts(examples, LENGTH, 10**8, mean))
    assert decided.values.batch_size == batch
    assert reason in decided.reasons["batchSize"].reason
