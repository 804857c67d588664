"""Base models that cannot be used, each refused with its reason before anything is downloaded or trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune_api.run_config import RunConfig, RunMethod
from finetune_trainer.failure import StageFailure
from finetune_trainer.methods.lora import LORA
from finetune_trainer.prepare.base.base import ExaminedBase, open_base
from finetune_trainer.prepare.examples.encoder import base_template
from finetune_trainer.stage.progress import ProgressPrinter
from finetune_trainer.workspace.workspace import Workspace
from tests.unit.prepare.base_folder import PARAMETERS, SHAPES, change_json, make_base, write_json, write_weights
from tests.unit.prepare.run import run_config

Change = Callable[[Path], Any]


def rename(old: str, new: str) -> Change:
    """Gives a file another name."""
    return lambda base: (base / old).rename(base / new)


def remove(name: str) -> Change:
    """Takes a file away."""
    return lambda base: (base / name).unlink()


def set_keys(name: str, **values: Any) -> Change:
    """Sets keys of a JSON file."""
    return lambda base: change_json(base / name, **values)


def write(name: str, text: str) -> Change:
    """Writes a file."""
    return lambda base: (base / name).write_text(text)


def cut(name: str, size: int) -> Change:
    """Cuts a file short."""
    return lambda base: (base / name).write_bytes((base / name).read_bytes()[:size])


def sharded(*present: str) -> Change:
    """Weights in two files, of which some are there."""

    def change(base: Path) -> None:
        (base / "model.safetensors").unlink()
        names = ["model-1.safetensors", "model-2.safetensors"]
        write_json(base / "model.safetensors.index.json", {"weight_map": dict(zip(SHAPES, names * 2, strict=True))})
        for name in present:
            write_weights(base / name, {key: SHAPES[key] for index, key in enumerate(SHAPES) if names[index % 2] == name})

    return change


def no_change(base: Path) -> None:
    """The folder as it is."""


def neither_template_nor_end(base: Path) -> None:
    """A base model for which the end of an answer is unknown."""
    (base / "chat_template.jinja").unlink()
    change_json(base / "tokenizer_config.json", eos_token=None)


# code's end -> (name, what is changed, words of the refusal)
REFUSED: dict[str, list[tuple[str, Change, str]]] = {
    "Incomplete": [
        ("no config", remove("config.json"), "has no config.json: a model folder in Hugging Face layout is required; the folder holds: "),
        ("no tokenizer", remove("tokenizer.json"), "has no tokenizer.json: save the model's fast tokenizer"),
        ("broken tokenizer", write("tokenizer.json", "{}"), "tokenizer.json cannot be read"),
        ("no weights", remove("model.safetensors"), "has no weights: model.safetensors"),
        ("missing shard", sharded("model-1.safetensors"), "lacks 1 of the 2 files that model.safetensors.index.json names: model-2"),
        ("broken index", write("model.safetensors.index.json", "{}"), "is not an index of safetensors files"),
        ("cut weights", cut("model.safetensors", 500), "model.safetensors has 500 bytes and should have"),
        ("cut header", cut("model.safetensors", 50), "is not a safetensors file, or is cut short (50 bytes)"),
        ("LFS pointer", write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"), "is not a safetensors file"),
        ("broken config", write("config.json", "{"), "config.json is not valid JSON"),
        ("list as config", write("config.json", "[]"), "config.json is not a JSON object"),
    ],
    "Unsupported": [
        ("adapter", rename("config.json", "adapter_config.json"), "is a LoRA adapter, not a model: merge it"),
        ("GGUF", rename("config.json", "model.gguf"), "holds a GGUF file"),
        ("pickles", rename("model.safetensors", "pytorch_model.bin"), "pickles (pytorch_model.bin), which can run any code"),
        ("no architecture", set_keys("config.json", architectures=None), 'config.json has no "architectures"'),
        (
            "encoder",
            set_keys("config.json", architectures=["BertModel"], model_type="bert"),
            "is a BertModel, an encoder, which serves sequence-class",
        ),
        ("remote code", set_keys("config.json", auto_map={"AutoConfig": "x.C"}), "auto_map in config.json"),
        ("remote tokenizer", set_keys("tokenizer_config.json", auto_map={}), "auto_map in tokenizer_config.json"),
        ("quantised", set_keys("config.json", quantization_config={"quant_method": "gptq"}), "quantized weights (gptq)"),
        ("neither template nor end", neither_template_nor_end, "has neither a chat template nor an eos_token"),
        ("broken template", write("chat_template.jinja", "{% if %}"), "has a chat template that is not valid Jinja"),
    ],
}
CASES = [pytest.param(*case[1:], f"BaseModel{code}", id=case[0]) for code, cases in REFUSED.items() for case in cases]


def look_at(tmp_path: Path, change: Change, **settings: Any) -> ExaminedBase:
    """Opens a base after a change to its folder."""
    change(make_base(tmp_path / "base"))
    return open_run(tmp_path, run_config(tmp_path, **settings))


def open_run(tmp_path: Path, config: RunConfig) -> ExaminedBase:
    """What prepare does with the base before it looks at the data."""
    base = open_base(config, Workspace(tmp_path / "workspace"), ProgressPrinter("prepare"))
    base_template(config, base)
    return base


@pytest.mark.parametrize("change, words, code", CASES)
def test_a_base_that_cannot_be_used_is_refused(tmp_path: Path, change: Change, words: str, code: str) -> None:
    """The refusal says what is wrong with which file of the base that the user named, and what to do."""
    with pytest.raises(StageFailure) as caught:
        look_at(tmp_path, change)
    error = caught.value.error
    assert (error.code, error.param) == (code, "base.source")
    assert error.message.startswith("pvc://models/base ")
    assert words in error.message


@pytest.mark.parametrize(
    "change",
    [
        no_change,
        sharded("model-1.safetensors", "model-2.safetensors"),
        write("pytorch_model.bin", "a pickle beside safetensors is not looked at"),
        write("consolidated.safetensors", "neither is another copy of the weights"),
    ],
    ids=["one file", "two files", "pickle beside", "another copy"],
)
def test_weights_are_counted_from_their_headers(tmp_path: Path, change: Change) -> None:
    """Whichever files transformers would load: every parameter counts once."""
    assert look_at(tmp_path, change).weights.parameters == PARAMETERS


@pytest.mark.parametrize(
    "lora, expected",
    [
        ({"rank": 4}, 4 * (16 + 24)),
        ({"rank": 4, "targetModules": ["q_proj"]}, 4 * 16),
        ({"rank": 1, "targetModules": ["mlp.down_proj"]}, 24),
        ({"rank": 4, "targetModules": ["q_proj"], "dora": True}, 4 * 16 + 8),
    ],
)
def test_adapter_parameters(tmp_path: Path, lora: dict[str, Any], expected: int) -> None:
    """Rank times (in + out) of each linear layer that gets an adapter; the embedding gets none."""
    assert LORA.trained(0, look_at(tmp_path, no_change).weights.linear_layers, RunMethod.model_validate({"lora": lora})) == expected


@pytest.mark.parametrize(("initialization", "times"), [("default", 1), ("pissa", 2)])
def test_values_that_are_written(tmp_path: Path, initialization: str, times: int) -> None:
    """An adapter that started as a part of the base is written with that start, so that it applies to the base as it was."""
    layers = look_at(tmp_path, no_change).weights.linear_layers
    settings = RunMethod.model_validate({"lora": {"rank": 4, "initialization": initialization}})
    assert LORA.trained(0, layers, settings) == 4 * (16 + 24)
    assert LORA.written(0, layers, settings) == times * 4 * (16 + 24)


@pytest.mark.parametrize(
    ("method", "param", "words"),
    [
        ({"type": "qlora"}, "method.lora.initialization", "type qlora"),
        ({"objective": "dpo"}, "method.lora.initialization", "objective dpo"),
        ({"dora": True}, "method.lora.initialization", "dora"),
        ({"rank": 9}, "method.lora.rank", "set a rank of at most 8"),
    ],
)
def test_what_pissa_cannot_do(tmp_path: Path, method: dict[str, Any], param: str, words: str) -> None:
    """It changes the base, and has no more components than the smaller side of a weight."""
    lora = {"initialization": "pissa", **{name: value for name, value in method.items() if name in ("rank", "dora")}}
    given = RunMethod.model_validate({"lora": lora, **{name: value for name, value in method.items() if name not in lora}})
    layers = look_at(tmp_path, no_change).weights.linear_layers
    with pytest.raises(StageFailure) as refused:
        LORA.adapted(layers, LORA.resolve(given, 10, lambda name, value, automatic, reason: automatic if value is None else value))
    assert (refused.value.error.param, words in str(refused.value)) == (param, True)


def test_a_target_module_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    """A typing error would otherwise surface on the GPU."""
    with pytest.raises(StageFailure, match=r"has no linear layer 'q_porj'; it has down_proj, q_proj") as caught:
        look_at(tmp_path, no_change, method={"type": "lora", "lora": {"targetModules": ["q_porj"]}})
    assert caught.value.error.param == "method.lora.targetModules"


def test_all_linear_stands_alone(tmp_path: Path) -> None:
    """In a list with other names, PEFT would adapt those alone."""
    with pytest.raises(StageFailure, match=r"has all-linear, which selects every linear layer .*, and 1 more: list it alone") as caught:
        look_at(tmp_path, no_change, method={"type": "lora", "lora": {"targetModules": ["all-linear", "q_proj"]}})
    assert caught.value.error.param == "method.lora.targetModules"


@pytest.mark.parametrize(("model_type", "name"), [("albert", "AlbertForMaskedLM"), ("mpnet", "MPNetModel")])
def test_gradient_checkpointing_is_refused_of_a_model_that_does_not_know_it(tmp_path: Path, model_type: str, name: str) -> None:
    """Before anything is trained; left out or false, the model can be used."""
    change = set_keys("config.json", architectures=[name], model_type=model_type)
    for given in (None, False):
        look_at(tmp_path / str(given), change, task="sequence-classification", hyperparameters={"gradientCheckpointing": given})
    with pytest.raises(StageFailure) as caught:
        look_at(tmp_path / "true", change, task="sequence-classification", hyperparameters={"gradientCheckpointing": True})
    assert (caught.value.error.code, caught.value.error.param) == (
        "GradientCheckpointingUnsupported",
        "hyperparameters.gradientCheckpointing",
    )
    assert f"is a {name}, which does not support gradient checkpointing: leave gradientCheckpointing out" in caught.value.error.message


@pytest.mark.parametrize("task", ["sequence-classification", "token-classification"])
def test_an_encoder_needs_neither_a_chat_template_nor_an_end(tmp_path: Path, task: str) -> None:
    """And can be exported to ONNX."""

    def change(base: Path) -> None:
        neither_template_nor_end(base)
        change_json(base / "config.json", architectures=["BertModel"], model_type="bert")

    base = look_at(tmp_path, change, task=task, export={"onnx": {}})
    assert (base.config.architecture, base.config.chat_template) == ("BertModel", None)


@pytest.mark.parametrize(
    ("model_type", "architecture", "layer"), [("llama", "LlamaForCausalLM", (8, 16)), ("gpt2", "GPT2LMHeadModel", (16, 8))]
)
def test_what_goes_into_a_matrix_and_what_comes_out(tmp_path: Path, model_type: str, architecture: str, layer: tuple[int, int]) -> None:
    """GPT-2 stores its matrices transposed."""
    base = look_at(tmp_path, set_keys("config.json", model_type=model_type, architectures=[architecture]))
    assert base.weights.linear_layers["model.layers.0.mlp.down_proj"] == layer


@pytest.mark.parametrize("positions, expected", [(514, 512), (None, None)])
def test_how_many_tokens_a_model_takes(tmp_path: Path, positions: int | None, expected: int | None) -> None:
    """RoBERTa's family counts positions from behind the padding token's id."""
    roberta = {"model_type": "roberta", "architectures": ["RobertaForMaskedLM"], "pad_token_id": 1}
    change = set_keys("config.json", **roberta, max_position_embeddings=positions)
    assert look_at(tmp_path, change, task="sequence-classification").config.max_length == expected


def test_a_missing_base_is_told_with_its_neighbours(tmp_path: Path) -> None:
    """The most similar names of the same folder help to find the right one."""
    make_base(tmp_path / "base-v1")
    with pytest.raises(StageFailure) as caught:
        open_run(tmp_path, run_config(tmp_path))
    error = caught.value.error
    assert (error.code, error.param) == ("BaseModelNotFound", "base.source")
    assert error.message == "pvc://models/base: folder not found; the claim holds: base-v1"


def test_a_fine_tuned_model_s_weights_lie_in_its_model_folder(tmp_path: Path) -> None:
    """Continuing from an earlier model starts from its merged weights; messages name the field that refers to it."""
    make_base(tmp_path / "base" / "model")
    source = {"source": {"uri": str(tmp_path / "base"), "shownAs": "FineTunedModel support-bot"}, "fineTunedModel": "support-bot"}
    config = run_config(tmp_path, base=source)
    assert open_run(tmp_path, config).download.path == tmp_path / "base" / "model"
    (tmp_path / "base" / "model" / "config.json").unlink()
    with pytest.raises(StageFailure, match=r"FineTunedModel support-bot has no config\.json") as caught:
        open_run(tmp_path, config)
    assert caught.value.error.param == "base.fineTunedModel"


@pytest.mark.parametrize(
    "generation, config, tokenizer, expected",
    [([7, 1], 1, "<|im_end|>", [7, 1]), (None, 9, None, [9]), (None, [3, 4], "<|im_start|>", [3, 4, 0]), (None, None, "<|im_end|>", [1])],
)
def test_tokens_that_end_an_answer(tmp_path: Path, generation: Any, config: Any, tokenizer: Any, expected: list[int]) -> None:
    """Every file that names one is heard, and none is listed twice."""

    def change(base: Path) -> None:
        change_json(base / "generation_config.json", eos_token_id=generation)
        change_json(base / "config.json", eos_token_id=config)
        change_json(base / "tokenizer_config.json", eos_token=tokenizer)

    assert look_at(tmp_path, change).config.eos_token_ids == expected


@pytest.mark.parametrize(
    "entry, expected", [("text", "text"), ([{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}], "b")]
)
def test_a_template_in_the_tokenizer_s_config(tmp_path: Path, entry: Any, expected: str) -> None:
    """Older models keep it there, some of them several by name."""

    def change(base: Path) -> None:
        (base / "chat_template.jinja").unlink()
        change_json(base / "tokenizer_config.json", chat_template=entry)

    assert look_at(tmp_path, change).config.chat_template == expected


def test_special_tokens_may_be_objects_in_their_own_file(tmp_path: Path) -> None:
    """special_tokens_map.json is read, tokenizer_config.json wins."""
    change = write("special_tokens_map.json", json.dumps({"bos_token": {"content": "<s>"}, "eos_token": "</s>"}))
    assert look_at(tmp_path, change).config.special_tokens == {"bos_token": "<s>", "eos_token": "<|im_end|>"}
