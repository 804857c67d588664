"""onnxruntime-genai's model builder, set up for the server and transformers 5. A program, since it keeps much of its memory:

python -m finetune_trainer.stage.apart finetune_trainer.artifacts.onnx.builder MODEL OUT CACHE
"""

from pathlib import Path
from typing import Any

OPTIONS = ["windowed_kv_cache=false"]
"""The server's slots hold every position: a cache of the window's size only is another contract."""

EPSILONS = ("rms_norm_eps", "norm_eps", "layer_norm_eps", "layer_norm_epsilon")
"""What the families call the number that keeps their norms finite."""


def build(model: Path, out: Path, cache: Path) -> None:
    """Writes the fp32 graph for onnxruntime on a CPU, and genai_config.json. Raises whatever the builder raises."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    target = ("", str(model), str(out), "fp32", "cpu", str(cache))
    options = parse_extra_options(*target, OPTIONS)
    write_as_4(options["hf_details"]["hf_config"])
    create_model(*target, **options)


def write_as_4(config: Any) -> None:
    """Puts settings where the builder looks for them: it would take its own defaults for what transformers 5 keeps elsewhere."""
    rotary = getattr(config, "rope_parameters", None)
    if isinstance(rotary, dict):
        write_rotary(config, rotary)
    if getattr(config, "sliding_window", None) and getattr(config, "layer_types", None) is None:
        config.layer_types = ["sliding_attention"] * config.num_hidden_layers
    epsilon = next((getattr(config, name) for name in EPSILONS if hasattr(config, name)), None)
    if epsilon is not None:
        config.rms_norm_eps = epsilon


def write_rotary(config: Any, rotary: dict[str, Any]) -> None:
    """One set of settings on top, that of local layers beside it, and the share of a head that turns."""
    local, full = rotary.get("sliding_attention"), rotary.get("full_attention")
    if isinstance(local, dict) and isinstance(full, dict):
        config.rope_local_base_freq = local["rope_theta"]
        config.rope_parameters = rotary = full
        config.rope_theta = full["rope_theta"]
    if "rope_type" in rotary:
        rotary["type"] = rotary["rope_type"]
    if "partial_rotary_factor" in rotary and not hasattr(config, "partial_rotary_factor"):
        config.partial_rotary_factor = rotary["partial_rotary_factor"]


def main(model: str, out: str, cache: str) -> None:
    """The program."""
    build(Path(model), Path(out), Path(cache))
