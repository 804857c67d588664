"""IA3 before a training: which layers get factors, how many there are, and what of it is refused."""

import re
from typing import Any

import pytest

from finetune_api.run_config import RunMethod
from finetune_trainer.failure import StageFailure
from finetune_trainer.methods.ia3 import IA3, pattern

pytestmark = pytest.mark.unit
LLAMA = {f"model.layers.{number}.{name}": shape for number in range(2) for name, shape in {
    "self_attn.q_proj": (64, 64), "self_attn.k_proj": (16, 64), "self_attn.v_proj": (16, 64), "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (160, 64), "mlp.up_proj": (160, 64), "mlp.down_proj": (64, 160),
}.items()}  # fmt: skip


def settings(**ia3: Any) -> RunMethod:
    """As a spec has them."""
    return RunMethod.model_validate({"type": "ia3", "ia3": ia3})


@pytest.mark.parametrize(
    ("names", "outputs", "inputs"),
    [
        ("q_proj k_proj v_proj o_proj gate_proj up_proj down_proj", "k_proj v_proj", "down_proj"),
        ("attn.c_attn attn.c_proj mlp.c_fc mlp.c_proj", "attn.c_attn", "mlp.c_proj"),
        (
            "attention.self.query attention.self.key attention.self.value attention.output.dense intermediate.dense output.dense",
            "attention.self.key attention.self.value",
            "output.dense",
        ),
        ("attention.query_key_value attention.dense mlp.dense_h_to_4h mlp.dense_4h_to_h", "attention.query_key_value", "mlp.dense_4h_to_h"),
        ("attn.Wqkv attn.Wo mlp.Wi mlp.Wo", "attn.Wqkv", "mlp.Wo"),
        ("attention.q_lin attention.k_lin attention.v_lin ffn.lin1 ffn.lin2", "attention.k_lin attention.v_lin", "ffn.lin2"),
        ("attention.key attention.value feed_forward.key feed_forward.value", "attention.key attention.value", "feed_forward.value"),
        ("kv_a_proj_with_mqa kv_b_proj mlp.experts.0.down_proj mlp.shared_experts.down_proj", "kv_b_proj", "mlp.shared_experts.down_proj"),
        ("self_attn.k_proj self_attn.indexer.kv_proj mlp.gate.down_proj input_layernorm.mlp.fc2", "self_attn.k_proj", ""),
    ],
    ids=["llama", "gpt2", "bert", "gpt-neox", "modernbert", "distilbert", "rwkv", "deepseek", "what chooses or normalizes"],
)
def test_layers_with_factors(names: str, outputs: str, inputs: str) -> None:
    """Keys and values, and what goes into the second matrix of the feed-forward part."""
    layers = {f"layers.0.{name}": (3, 5) for name in names.split()}
    feed_forward = [f"layers.0.{name}" for name in inputs.split()]
    assert sorted(IA3.adapted(layers, settings())) == sorted([f"layers.0.{name}" for name in outputs.split()] + feed_forward)
    assert list(IA3.feed_forward(layers, settings())) == feed_forward


@pytest.mark.parametrize(
    ("ia3", "factors", "inputs"),
    [
        ({}, 2 * (16 + 16 + 160), 2 * 160),
        ({"targetModules": ["q_proj", "down_proj"]}, 2 * (64 + 160), 2 * 160),
        ({"targetModules": ["q_proj", "o_proj"], "feedforwardModules": ["o_proj"]}, 2 * (64 + 64), 2 * 64),
        ({"targetModules": ["v_proj", "down_proj"], "feedforwardModules": []}, 2 * (16 + 64), 0),
        ({"targetModules": ["model.layers.1.self_attn.v_proj"]}, 16, 0),
    ],
)
def test_number_of_factors(ia3: dict[str, Any], factors: int, inputs: int) -> None:
    """One for each output, or with feed-forward modules for each input; as many values are written."""
    method = settings(**ia3)
    assert IA3.trained(0, LLAMA, method) == IA3.written(0, LLAMA, method) == factors
    assert IA3.inputs(LLAMA, method) == inputs


@pytest.mark.parametrize(
    ("layers", "ia3", "param", "words"),
    [
        (LLAMA, {"targetModules": ["k_porj"]}, "targetModules", "no linear layer 'k_porj'; it has down_proj, gate_proj, k_proj"),
        (LLAMA, {"targetModules": ["k_proj"], "feedforwardModules": ["fc2"]}, "feedforwardModules", "no linear layer 'fc2'; it has k_proj"),
        ({"layers.0.mixer.in_proj": (8, 4)}, {}, "targetModules", "(in_proj) do not tell which of them compute keys, values or"),
    ],
)
def test_modules_that_are_not_there(layers: dict[str, tuple[int, int]], ia3: dict[str, Any], param: str, words: str) -> None:
    """Refused with the names that there are."""
    with pytest.raises(StageFailure) as refused:
        IA3.trained(0, layers, settings(**ia3))
    assert refused.value.error.param == f"method.ia3.{param}"
    assert words in refused.value.error.message


OUTPUTS = [
    f"encoder.layer.{number}.{part}" for number in range(12) for part in ("attention.output.dense", "output.dense", "ffn.0", "ffn.2")
]


@pytest.mark.parametrize(
    ("chosen", "parts"),
    [
        ([name for name in OUTPUTS if name.endswith("output.dense") and "attention" not in name], 1),
        (OUTPUTS, 4),
        ([name for name in OUTPUTS if name.endswith("ffn.2")], 1),
        (["encoder.layer.1.output.dense"], 1),
        (["encoder.layer.1.output.dense", "encoder.layer.11.output.dense"], 2),
        ([], 1),
    ],
    ids=["one kind", "all", "a number at the end", "one layer", "two layers", "none"],
)
def test_names_in_an_adapter(chosen: list[str], parts: int) -> None:
    """The pattern that PEFT is given matches the chosen modules and no other, with one part for a kind that is chosen in every layer."""
    found = pattern(chosen, OUTPUTS)
    assert [name for name in OUTPUTS if re.fullmatch(found, name)] == chosen
    assert len(found.split("|")) == parts
