"""What works of a family, found by doing it: the table of families as it should be."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers.models.auto import modeling_auto

from finetune_api.resources.finetune_job import TaskName
from finetune_text.positions import usable_positions
from finetune_trainer.artifacts.onnx.rehearse import rehearse
from finetune_trainer.failure import StageFailure
from finetune_trainer.families import Family, families
from finetune_trainer.learners import learner_of
from finetune_trainer.tasks import TASKS
from finetune_trainer.trained import read_trained_run
from tests.models.divided import PAIR, undivided
from tests.models.factors import factors_reason
from tests.models.left_out import LEFT_OUT
from tests.models.stages import ANSWER, PROMPT, STAGES, answer, manifest_of, run_config
from tests.models.tiny_models import END, load_tiny, load_tiny_encoder, make_encoder, make_language_model

LANGUAGE: dict[str, str] = dict(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
SEQUENCES: dict[str, str] = dict(modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
TOKENS: dict[str, str] = dict(modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES)
MASKED: dict[str, str] = dict(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
SUFFIX = "ForSequenceClassification"


class Failed(Exception):
    """It does not work; the message says where and how."""


def every_family() -> list[Family]:
    """As the pinned transformers has them, with nothing known of what works."""
    tried = [name for name in (SEQUENCES | LANGUAGE) if name not in LEFT_OUT]
    encoders = [name for name in tried if name in SEQUENCES and (name in MASKED or name not in LANGUAGE)]
    found = [Family(name, "other", class_of(name), unfit=why) for name, why in LEFT_OUT.items() if class_of(name)]
    found += [Family(name, "encoder", SEQUENCES[name].removesuffix(SUFFIX)) for name in encoders]
    found += [Family(name, "language", LANGUAGE[name]) for name in tried if name not in encoders]
    return sorted(found, key=lambda family: family.model_type)


def class_of(model_type: str) -> str:
    """What transformers makes of that type for texts; "" when it does not know it."""
    return next((names[model_type] for names in (LANGUAGE, SEQUENCES, TOKENS) if model_type in names), "")


def measure(family: Family, folder: Path) -> Family:
    """The family with the reasons of what does not work; takes seconds."""
    if family.kind == "other":
        return family
    make = make_language_model if family.kind == "language" else make_encoder
    try:
        base = make(family.model_type, folder / "base")
    except Exception as exc:
        return useless(family, f"transformers makes no small model of it ({words(exc)})")
    if family.kind == "language" and (reason := reason_of(lambda: check_causal(base))):
        return useless(family, reason)
    if family.kind == "encoder" and (reason := reason_of(lambda: check_longest(base))):
        return useless(family, reason)
    with promised(family):
        lora = reason_of(lambda: tuned(base, folder / "lora", family, "lora"))
        qlora = "" if lora else reason_of(lambda: tuned(base, folder / "qlora", family, "qlora"))
        ia3 = "" if lora else factors_reason(base, family)
        full = reason_of(lambda: tuned(base, folder / "full", family, "full"))
        divided = divided_reason(base, family, {"lora": lora, "full": full})
        onnx = (lora and full) or reason_of(lambda: exported(base, folder, family, "full" if lora else "lora"))
        share = undivided(family.model_type) if family.kind == "language" and not divided else 0.0
    return replace(family, lora=lora, qlora=qlora, ia3=ia3, full=full, tensor_parallel=divided, undivided=share, onnx=onnx)


def divided_reason(base: Path, family: Family, reasons: dict[str, str]) -> str:
    """Why two processes cannot divide a language model's layers, by one of the methods that work."""
    if family.kind != "language":
        return ""
    if all(reasons.values()):
        return reasons["full"]
    found = (PAIR.reason(base, method) for method, reason in reasons.items() if not reason)
    return next((reason for reason in found if reason), "")


def useless(family: Family, reason: str) -> Family:
    """In no way to be used."""
    divided = reason if family.kind == "language" else ""
    return replace(family, lora=reason, full=reason, tensor_parallel=divided, onnx=reason)


@contextlib.contextmanager
def promised(family: Family) -> Iterator[None]:
    """prepare accepts what is to be tried."""
    table = families()
    before = table.get(family.model_type)
    table[family.model_type] = replace(family, lora="", qlora="", ia3="", full="", onnx="")
    try:
        yield
    finally:
        if before is None:
            del table[family.model_type]
        else:
            table[family.model_type] = before


def reason_of(way: Callable[[], None]) -> str:
    """ "" when it works. What the stages print stays out of sight."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            way()
    except Failed as failed:
        return str(failed)
    return ""


def task_of(family: Family, method: str) -> TaskName:
    """Both classification tasks are gone through: one with each method."""
    if family.kind == "language":
        return "chat"
    return "sequence-classification" if method != "full" or family.model_type not in TOKENS else "token-classification"


def tuned(base: Path, folder: Path, family: Family, method: str, *, onnx: bool = False) -> Any:
    """Through the stages; what comes out must have learned, and be what was measured when it is loaded again. Raises Failed."""
    config = run_config(base, folder, task_of(family, method), method, onnx=onnx)
    for name, stage in STAGES.items():
        try:
            stage(config)
        except Exception as exc:
            raise Failed(f"{name}: {words(exc)}") from exc
    evaluation = manifest_of(config).evaluation
    assert evaluation is not None
    if not evaluation.tuned["loss"] < evaluation.base["loss"]:
        raise Failed(f"its loss does not fall: it is {evaluation.base['loss']:.3f} before, {evaluation.tuned['loss']:.3f} after")
    run = read_trained_run(config)
    learner = learner_of(config, run.prepared, run.workspace)
    again = learner.score(learner.load(Path(config.paths.model) / "model", "fp32", "cpu"), lambda *_: None).scores
    if abs(again["loss"] - evaluation.tuned["loss"]) > 1e-3:
        raise Failed(f"what is saved is not what was trained: loss {again['loss']:.3f}, not {evaluation.tuned['loss']:.3f}")
    return config


def exported(base: Path, folder: Path, family: Family, method: str) -> None:
    """Rehearsed, an encoder's for tokens, then the whole way to an answer of the server, an encoder's for texts. Raises Failed."""
    try:
        found = rehearse(base, TASKS[task_of(family, "full")].learner, folder / "rehearsal")
    except Exception as exc:
        raise Failed(f"no small copy of it can be made to rehearse the export ({words(exc)})") from exc
    if found.reason:
        raise Failed(found.reason)
    config = tuned(base, folder / "onnx", family, method, onnx=True)
    if missing := manifest_of(config).missing_artifacts:
        raise Failed(f"publish: {missing[0].message}")
    try:
        given = answer(config)
    except Exception as exc:
        raise Failed(f"the server cannot answer with it ({words(exc)})") from exc
    check_answer(given, Path(config.paths.model) / "model")


def check_answer(given: Any, model: Path) -> None:
    """A language model's greedy answer is PyTorch's; a classifier has labels. Raises Failed."""
    if "choices" not in given:
        if not (given.get("data") or given.get("results")):
            raise Failed(f"the server's answer is empty: {json.dumps(given)[:200]}")
        return
    text, expected = given["choices"][0]["text"], greedy_text(model)
    if text != expected:
        raise Failed(f"the server answers {text!r}, PyTorch {expected!r}")


@torch.inference_mode()
def greedy_text(folder: Path) -> str:
    """PyTorch's own answer."""
    model, tokenizer = load_tiny(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids: list[int] = tokenizer.encode(PROMPT).ids
    answered: list[int] = []
    while len(answered) < ANSWER and END not in answered:
        answered.append(int(model(input_ids=torch.tensor([ids + answered]), use_cache=False).logits[0, -1].argmax()))
    text: str = tokenizer.decode(answered)
    return text


@torch.inference_mode()
def check_causal(base: Path) -> None:
    """A language model's token may depend on those before it only. Raises Failed."""
    try:
        model = load_tiny(base)
        ids = torch.arange(5, 25)[None]
        whole, part = (model(input_ids=ids[:, :length], use_cache=False).logits[0, :9] for length in (20, 9))
    except Exception as exc:
        raise Failed(f"transformers cannot compute it on a CPU ({words(exc)})") from exc
    if not (whole - part).abs().max() <= 1e-3 * whole.abs().max():
        raise Failed("a token depends on those that follow it")


@torch.inference_mode()
def check_longest(base: Path) -> None:
    """An encoder takes as many tokens as prepare believes. Raises Failed."""
    length = usable_positions(json.loads((base / "config.json").read_text())) or 64
    try:
        load_tiny_encoder(base)(input_ids=torch.full((1, length), 7), attention_mask=torch.ones(1, length, dtype=torch.int64))
    except Exception as exc:
        raise Failed(f"transformers cannot compute {length} tokens on a CPU ({words(exc)})") from exc


def words(exc: BaseException) -> str:
    """An error in a line."""
    if isinstance(exc, StageFailure):
        return exc.error.message
    return f"{type(exc).__name__}: {str(exc).strip().splitlines()[0] if str(exc).strip() else 'without words'}"[:200]
