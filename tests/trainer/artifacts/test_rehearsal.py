"""The rehearsal of an ONNX export, with configurations of models as they are published: what can be exported, and why not."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from finetune_trainer.artifacts.onnx import rehearse as rooms
from finetune_trainer.artifacts.onnx.rehearse import rehearse
from finetune_trainer.artifacts.onnx.small_copy import shrunk
from tests.models.tiny_models import byte_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries' own deprecations


def config(model_type: str, architecture: str, layers: int, hidden: int, heads: int, groups: int, **more: Any) -> dict[str, Any]:
    """What a config.json says of a decoder."""
    return {
        "model_type": model_type, "architectures": [architecture], "num_hidden_layers": layers, "hidden_size": hidden,
        "num_attention_heads": heads, "num_key_value_heads": groups, "intermediate_size": 4 * hidden, "vocab_size": 150_000,
        "max_position_embeddings": 32_768, "bos_token_id": 100_000, "eos_token_id": 100_001,
    } | more  # fmt: skip


LLAMA3 = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}
LONG = {"rope_type": "longrope", "short_factor": [1.0 + i / 48 for i in range(48)], "long_factor": [1.0 + i / 4 for i in range(48)]}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0}
PUBLISHED: dict[str, tuple[dict[str, Any], str]] = {
    "llama-3.2": (config("llama", "LlamaForCausalLM", 16, 2048, 32, 8, head_dim=64, rope_theta=500_000.0, rope_scaling=LLAMA3), ""),
    "gemma-3-1b": (
        config("gemma3_text", "Gemma3ForCausalLM", 26, 1152, 4, 1, head_dim=256, sliding_window=512, sliding_window_pattern=6,
               rope_local_base_freq=10_000.0, rope_theta=1_000_000.0, query_pre_attn_scalar=256), ""),
    "gemma-2-2b": (
        config("gemma2", "Gemma2ForCausalLM", 26, 2304, 8, 4, head_dim=256, sliding_window=4096, query_pre_attn_scalar=256), ""),
    "gpt-oss-20b": (
        config("gpt_oss", "GptOssForCausalLM", 24, 2880, 64, 8, head_dim=64, sliding_window=128, num_local_experts=32,
               num_experts_per_tok=4, intermediate_size=2880, rope_theta=150_000.0, rope_scaling=YARN), ""),
    "mistral-7b-v0.1": (config("mistral", "MistralForCausalLM", 32, 4096, 32, 8, sliding_window=4096), ""),
    "qwen-3": (config("qwen3", "Qwen3ForCausalLM", 28, 1024, 16, 8, head_dim=128), ""),
    "phi-2": (config("phi", "PhiForCausalLM", 32, 2560, 32, 32, partial_rotary_factor=0.4, max_position_embeddings=2048), ""),
    "phi-3-mini-4k": (
        config("phi3", "Phi3ForCausalLM", 32, 3072, 32, 32, sliding_window=2047, max_position_embeddings=4096,
               original_max_position_embeddings=4096, pad_token_id=32_000), ""),
    "phi-3-mini-128k": (
        config("phi3", "Phi3ForCausalLM", 32, 3072, 32, 32, sliding_window=262_144, max_position_embeddings=131_072,
               original_max_position_embeddings=4096, pad_token_id=32_000, rope_scaling=LONG), ""),
    "smollm3": (config("smollm3", "SmolLM3ForCausalLM", 36, 2048, 16, 4, no_rope_layers=[1, 1, 1, 0] * 9, pad_token_id=128_004), ""),
    "olmo-1b": (config("olmo", "OlmoForCausalLM", 16, 2048, 16, 16), rooms.DIFFERS),
    "lfm2": (config("lfm2", "Lfm2ForCausalLM", 16, 1024, 16, 8, full_attn_idxs=[2, 5, 8, 10, 12, 14]), rooms.OTHER_INPUTS),
    "heads of 24": (config("llama", "LlamaForCausalLM", 8, 192, 8, 8), rooms.CANNOT_RUN),
    "dynamic": (config("qwen2", "Qwen2ForCausalLM", 8, 512, 8, 2, rope_scaling=DYNAMIC), rooms.UNKNOWN),
    "mixtral": (config("mixtral", "MixtralForCausalLM", 8, 512, 8, 2), rooms.UNKNOWN),
}  # fmt: skip


ENCODERS: dict[str, dict[str, Any]] = {
    "deberta-v3": {
        "model_type": "deberta-v2", "architectures": ["DebertaV2ForMaskedLM"], "num_hidden_layers": 12, "hidden_size": 768,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 128_100, "max_position_embeddings": 512, "pad_token_id": 0,
        "relative_attention": True, "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": True,
        "pos_att_type": "p2c|c2p", "max_relative_positions": -1, "position_biased_input": False, "type_vocab_size": 0,
        "pooler_hidden_size": 768,
    },
    "modernbert": {
        "model_type": "modernbert", "architectures": ["ModernBertForMaskedLM"], "hidden_size": 768, "num_hidden_layers": 22,
        "num_attention_heads": 12, "intermediate_size": 1152, "vocab_size": 50_368, "max_position_embeddings": 8192,
        "global_attn_every_n_layers": 3, "local_attention": 128, "pad_token_id": 50_283, "cls_token_id": 50_281, "sep_token_id": 50_282,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_as_they_are_published_can_be_exported(name: str, tmp_path: Path) -> None:
    """Their copies keep the ties between their sizes."""
    (tmp_path / "config.json").write_text(json.dumps(ENCODERS[name]))
    assert rehearse(tmp_path, "sequence", tmp_path / "scratch").reason == ""


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The JSON files of a base model, without weights."""
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[request.param][0]))
    (tmp_path / "tokenizer.json").write_text(byte_tokenizer().to_str())
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "reason"), [(name, reason) for name, (_, reason) in PUBLISHED.items()], ids=PUBLISHED, indirect=["folder"]
)
def test_what_can_be_exported_is_known_from_the_config_alone(folder: Path, reason: str) -> None:
    """The small copy fails where the whole model would, and with the same words."""
    assert rehearse(folder, "language", folder / "scratch").reason == reason


@pytest.mark.parametrize("expected", [[math.nan, 1.0], [math.inf, 1.0], [0.0, 0.0]])
def test_a_copy_that_computes_nothing_says_nothing_of_the_export(expected: list[float]) -> None:
    """It is an error of the rehearsal, which is a note, and no refusal."""
    with pytest.raises(ValueError, match="no finite logits"):
        rooms.compared(np.array(expected), np.array(expected))


@pytest.mark.parametrize("folder", PUBLISHED, indirect=True)
def test_a_copy_is_small_and_keeps_what_decides(folder: Path) -> None:
    """At most a layer of each kind, heads of the same size, the same rotary settings, a window where there is one."""
    whole = AutoConfig.from_pretrained(folder)
    small = shrunk(whole)
    model: Any = AutoModelForCausalLM.from_config(small)  # type: ignore[no-untyped-call]
    assert model.num_parameters() < 60_000_000
    assert head_size(small) == head_size(whole)
    assert small.rope_parameters == whole.rope_parameters
    assert bool(getattr(small, "sliding_window", None)) == bool(getattr(whole, "sliding_window", None))
    assert set(getattr(small, "layer_types", None) or []) == set(getattr(whole, "layer_types", None) or [])


def head_size(of: Any) -> int:
    """Said, or what follows."""
    return int(getattr(of, "head_dim", None) or of.hidden_size // of.num_attention_heads)
