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


def checked(model_type: str, architecture: str, tmp_path: Any, settings: dict[str, Any]) -> None:
    """Asks for a job with these settings."""
    config = {"model_type": model_type, "architectures": [architecture]}
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
            "a causal language model: task sequence-classification needs an encoder (al",
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


def test_deepspeed_computes_no_vectors_before_a_step(tmp_path: Any) -> None:
    """So it is refused for embeddings, with the strategies that work."""
    settings = {"task": "text-embedding", "strategy": {"type": "deepspeed", "zeroStage": 2}}
    for works in ("ddp", "fsdp"):
        checked("bert", "BertModel", tmp_path, settings | {"strategy": {"type": works}})
    with pytest.raises(
        StageFailure, match=r"cannot train task text-embedding.*not supported with deepspeed\. Set .*type: ddp, fsdp$"
    ) as refused:
        checked("bert", "BertModel", tmp_path, settings)
    assert (refused.value.error.code, refused.value.error.param) == ("StrategyUnsupported", "training.strategy.type")


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
