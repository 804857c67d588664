"""Families of models: which a job can start from, and what it says of the others. The table itself is proven by `make test-models`."""

from typing import Any

import pytest

from finetune_trainer.failure import StageFailure
from finetune_trainer.families import Family, families
from finetune_trainer.prepare.base.architectures import check_family
from finetune_trainer.sources.subject import Subject
from tests.unit.prepare.run import run_config

SUBJECT = Subject("pvc://models/base", "base.source", "BaseModelNotFound")
ONNX: dict[str, Any] = {"export": {"onnx": {}}}
FULL: dict[str, Any] = {"method": {"type": "full"}}
LABELS: dict[str, Any] = {"task": "sequence-classification"}


def checked(model_type: str, architecture: str, tmp_path: Any, settings: dict[str, Any], **sizes: Any) -> None:
    """Asks for a job with these settings; `sizes` are in the base's config.json."""
    config = {"model_type": model_type, "architectures": [architecture], **sizes}
    check_family(config, architecture, SUBJECT, run_config(tmp_path, **settings))


@pytest.mark.parametrize(
    ("model_type", "architecture", "settings"),
    [
        ("llama", "LlamaForCausalLM", ONNX),
        ("gpt2", "GPT2LMHeadModel", {}),
        ("gpt2", "GPT2LMHeadModel", FULL),
        ("gemma3_text", "Gemma3ForCausalLM", ONNX),
        ("mixtral", "MixtralForCausalLM", {}),
        ("mamba", "MambaForCausalLM", {}),
        ("bert", "BertForPreTraining", LABELS | ONNX),
        ("xlm-roberta", "XLMRobertaForMaskedLM", LABELS | ONNX),
        ("modernbert", "ModernBertModel", LABELS | FULL),
    ],
)
def test_what_was_proven_is_accepted(tmp_path: Any, model_type: str, architecture: str, settings: dict[str, Any]) -> None:
    """Without a word."""
    checked(model_type, architecture, tmp_path, settings)


@pytest.mark.parametrize(
    ("model_type", "architecture", "settings", "param", "words"),
    [
        ("gpt2", "GPT2LMHeadModel", ONNX, "export.onnx", "is a GPT2LMHeadModel, which cannot be exported to ONNX: "),
        ("gpt2", "GPT2LMHeadModel", ONNX, "export.onnx", ". Leave export.onnx out, or use a model of one of these types: "),
        ("ibert", "IBertForMaskedLM", LABELS, "method.type", "is a IBertForMaskedLM, which method.type lora cannot train: "),
        ("ibert", "IBertForMaskedLM", LABELS, "method.type", ". Set method.type: full"),
        (
            "gemma3",
            "Gemma3ForConditionalGeneration",
            {},
            "base.source",
            "which cannot be used: it takes images or audio in addition to text; ",
        ),
        ("made-up", "MadeUpForCausalLM", {}, "base.source", "is a MadeUpForCausalLM of model type 'made-up', which is not known to work: "),
        ("llama", "LlamaForSequenceClassification", {}, "base.source", "of model type llama, only LlamaForCausalLM can be used"),
        ("bert", "BertModel", {}, "base.source", "is a BertModel, an encoder, which serves sequence-classification, token-class"),
        (
            "llama",
            "LlamaForCausalLM",
            LABELS,
            "base.source",
            "a causal language model: task sequence-classification needs an encoder, such as bert, ",
        ),
        ("t5", "T5EncoderModel", LABELS, "base.source", "which cannot be used: it is part of an encoder-decoder model"),
    ],
)
def test_what_does_not_work_is_refused_with_its_reason(
    tmp_path: Any, model_type: str, architecture: str, settings: dict[str, Any], param: str, words: str
) -> None:
    """And with the nearest thing that works."""
    with pytest.raises(StageFailure) as caught:
        checked(model_type, architecture, tmp_path, settings)
    error = caught.value.error
    assert (caught.value.exit_code, error.param) == (3, param)
    assert error.message.startswith("pvc://models/base is a ")
    assert words in error.message


@pytest.mark.parametrize("optimizer", ["adamw-8bit", "adafactor", "lion", "muon"])
def test_an_optimizer_that_needs_whole_tensors(optimizer: str, tmp_path: Any) -> None:
    """Is refused where a rank holds parts of them, with the strategies that work."""
    settings = {"hyperparameters": {"optimizer": optimizer}}
    checked("llama", "LlamaForCausalLM", tmp_path, settings | {"strategy": {"type": "ddp"}})
    with pytest.raises(StageFailure, match=rf"optimizer {optimizer} updates whole tensors.*Set training\.strategy\.type: ddp") as refused:
        checked("llama", "LlamaForCausalLM", tmp_path, settings | {"strategy": {"type": "fsdp"}})
    assert (refused.value.error.code, refused.value.error.param) == ("StrategyUnsupported", "training.strategy.type")


def test_fp16_needs_gradients_that_can_be_left_out(tmp_path: Any) -> None:
    """DeepSpeed's cannot, so that it is refused, with the strategies that work."""
    settings: dict[str, Any] = {"hyperparameters": {"precision": "fp16"}, "hardware": {"gpus": 2}, "world": {"processesPerNode": 2}}
    for works in ("ddp", "fsdp", "tensor-parallel"):
        checked("llama", "LlamaForCausalLM", tmp_path, settings | {"strategy": {"type": works}}, **HEADS)
    with pytest.raises(StageFailure, match=r"is not supported with deepspeed\. Set .*type: ddp or fsdp or tensor-parallel$"):
        checked("llama", "LlamaForCausalLM", tmp_path, settings | {"strategy": {"type": "deepspeed", "zeroStage": 2}})


DIVIDED = "training.strategy"
HEADS = {"num_attention_heads": 12, "num_key_value_heads": 4}


@pytest.mark.parametrize(
    ("world", "size", "works"),
    [
        ({"processesPerNode": 2}, None, True),
        ({"nodes": 4}, None, True),
        ({"nodes": 2, "processesPerNode": 4}, None, True),
        ({"nodes": 3, "processesPerNode": 4}, 2, True),
        ({"processesPerNode": 8}, 4, True),
        ({"processesPerNode": 8}, None, False),  # 8 of 12 heads
        ({"nodes": 3}, None, False),  # 3 of 4
        ({"processesPerNode": 4}, 3, False),
        ({"processesPerNode": 2}, 4, False),
    ],
)
def test_the_ranks_that_divide_a_layer(world: dict[str, int], size: int | None, works: bool, tmp_path: Any) -> None:
    """Divide the processes and all heads; by default they are those of a node, or of all nodes with one process each."""
    strategy = {"type": "tensor-parallel"} | ({"tensorParallelSize": size} if size else {})
    settings = {"strategy": strategy, "world": world}
    if works:
        checked("llama", "LlamaForCausalLM", tmp_path, settings, **HEADS)
        return
    with pytest.raises(StageFailure, match=r"must divide the . processes.*num_attention_heads 12, num_key_value_heads 4") as refused:
        checked("llama", "LlamaForCausalLM", tmp_path, settings, **HEADS)
    assert (refused.value.error.code, refused.value.error.param) == ("InvalidStrategy", f"{DIVIDED}.tensorParallelSize")


def test_the_heads_of_every_layer_are_divided(tmp_path: Any) -> None:
    """Also where a config.json has a list of them; other numbers are not checked."""
    settings = {"strategy": {"type": "tensor-parallel"}, "world": {"processesPerNode": 2}}
    heads: dict[str, Any] = HEADS | {"use_qk_norm_in_heads": True}
    checked("laguna", "LagunaForCausalLM", tmp_path, settings, **heads, num_attention_heads_per_layer=[12, 8, 12])
    with pytest.raises(StageFailure, match=r"num_attention_heads_per_layer 12, num_attention_heads_per_layer 9\): no size does"):
        checked("laguna", "LagunaForCausalLM", tmp_path, settings, **heads, num_attention_heads_per_layer=[12, 9, 12])


@pytest.mark.parametrize(
    ("model_type", "architecture", "settings", "words"),
    [
        ("gpt2", "GPT2LMHeadModel", {}, "of model type gpt2: "),
        ("llama", "LlamaForCausalLM", {"method": {"type": "qlora"}}, "has no rows or columns"),
        ("llama", "LlamaForCausalLM", {"method": {"type": "lora", "lora": {"dora": True}}}, "the norms of whole weights"),
        ("llama", "LlamaForCausalLM", {"method": {"type": "ia3"}}, "adapters of IA3 cannot be divided"),
        ("llama", "LlamaForCausalLM", {"hyperparameters": {"optimizer": "lion"}}, "updates whole tensors"),
        ("bert", "BertModel", LABELS, "trains language models only"),
    ],
)
def test_what_ranks_cannot_divide(model_type: str, architecture: str, settings: dict[str, Any], words: str, tmp_path: Any) -> None:
    """A model without a plan, weights that are no plain matrices, encoders: refused, with a strategy that works."""
    with pytest.raises(StageFailure) as refused:
        checked(model_type, architecture, tmp_path, settings | {"world": {"nodes": 2}, "strategy": {"type": "tensor-parallel"}}, **HEADS)
    error = refused.value.error
    assert (error.code, error.param) == ("StrategyUnsupported", f"{DIVIDED}.type")
    assert words in error.message
    assert "Set training.strategy.type: " in error.message


def test_a_line_of_the_table_says_one_thing() -> None:
    """A family that cannot be used has one reason, and every other is one of two kinds with something that works or reasons for both."""
    for family in families().values():
        assert bool(family.unfit) == (family.kind == "other"), family
        assert family.trainable or family.onnx or family.unfit, family


def test_an_encoders_classes_begin_with_its_familys_name() -> None:
    """Each of its heads can be replaced by one for labels."""
    family = Family("bert", "encoder", "Bert")
    assert family.has("BertForMaskedLM")
    assert not family.has("BertLMHeadModel")
    assert not family.has("RobertaForMaskedLM")
