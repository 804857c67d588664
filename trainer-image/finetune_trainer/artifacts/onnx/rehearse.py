"""The rehearsal of an ONNX export: a small copy of a base model, with random weights, is exported and compared with PyTorch.

    python -m finetune_trainer.stage.apart finetune_trainer.artifacts.onnx.rehearse BASE TASK SCRATCH

BASE needs its JSON files only. Takes seconds and some hundred MB, whatever the model's size. The last line on standard output is JSON:
{"reason": ""} when the export works, else why it does not, and in "detail" what was seen.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from finetune_trainer.artifacts.onnx.builder import build
from finetune_trainer.artifacts.onnx.classifier_graph import OnnxClassifier, export_classifier, quiet
from finetune_trainer.artifacts.onnx.classifier_parity import alone
from finetune_trainer.artifacts.onnx.decoder import OnnxModel, onnx_decoder
from finetune_trainer.artifacts.onnx.embedding import LEAST_COSINE, OnnxEmbedding, compare, export_embedding
from finetune_trainer.artifacts.onnx.small_copy import enliven, shrunk
from finetune_trainer.classification.batch import Collator
from finetune_trainer.classification.labelling import ClassifierName, Labelling
from finetune_trainer.classification.model import CLASSES, pad_token, takes_token_types
from finetune_trainer.classification.rows import LabelledRow
from finetune_trainer.failure import StageFailure
from finetune_trainer.tasks import LearnerName

PROMPT = 40
"""Tokens of the prompt: more than the small copy's window."""
STEPS = 3
"""Tokens that follow one by one."""
TOLERANCE = 1e-3
"""Largest difference of a logit, as a share of the largest logit."""
TOO_LARGE = 400_000_000
"""Parameters of a small copy that is none."""
UNKNOWN = "onnxruntime-genai's builder does not support it"
BUILDER_FAILS = "onnxruntime-genai's builder fails on its configuration"
CANNOT_RUN = "ONNX Runtime cannot run the exported graph"
DIFFERS = "the output of the exported graph differs from PyTorch's"
OTHER_INPUTS = "the exported graph has inputs that the server does not provide"
EXPORTER_FAILS = "torch.onnx cannot export it"


@dataclass(frozen=True)
class Rehearsed:
    """How it went."""

    reason: str = ""
    """Why the export cannot work; "": it does."""
    detail: str = ""


def rehearse(base: Path, learner: LearnerName, scratch: Path) -> Rehearsed:
    """Exports and compares; whatever keeps the small copy itself from being made is raised."""
    torch.manual_seed(0)
    config = shrunk(AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False))
    if learner == "language":
        return rehearse_language_model(config, base, scratch)
    return rehearse_embedding(config, scratch) if learner == "embedding" else rehearse_classifier(config, learner, scratch)


def rehearse_language_model(config: Any, base: Path, scratch: Path) -> Rehearsed:
    """Builder, one prefill and some decode steps."""
    model = small_model(AutoModelForCausalLM, config)
    ids = torch.randint(2, config.get_text_config().vocab_size, (PROMPT + STEPS,)).tolist()
    with torch.inference_mode():  # first: a copy that PyTorch cannot compute says nothing of the export
        expected = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, PROMPT - 1 :].float().numpy()
    folder, out = scratch / "small", scratch / "onnx"
    model.save_pretrained(folder)
    for path in base.glob("tokenizer*"):
        shutil.copyfile(path, folder / path.name)
    try:
        with quiet():
            build(folder, out, scratch / "cache")
    except NotImplementedError as exc:
        return Rehearsed(UNKNOWN, "" if str(folder) in str(exc) else str(exc))
    except Exception as exc:  # whatever its code comes upon
        return Rehearsed(BUILDER_FAILS, f"{type(exc).__name__}: {exc}")
    return compare_language_models(out, ids, expected)


def compare_language_models(out: Path, ids: list[int], expected: Any) -> Rehearsed:
    """Logits of the same tokens, once all together and once behind a prompt, one by one."""
    try:
        exported = OnnxModel(out)
        if others := exported.other_inputs:
            return Rehearsed(OTHER_INPUTS, ", ".join(others))
        decode = onnx_decoder(exported)
        found = [decode(ids[:PROMPT]), *(decode([token]) for token in ids[PROMPT:])]
    except Exception as exc:  # onnxruntime's errors share no base class
        return Rehearsed(CANNOT_RUN, first_line(exc))
    return compared(np.array(found), expected)


def rehearse_classifier(config: Any, learner: ClassifierName, scratch: Path) -> Rehearsed:
    """torch.onnx, and two rows of unlike length beside each other."""
    labelling = Labelling(learner, ("a", "b", "c"))
    for name, value in labelling.config().items():
        setattr(config, name, value)
    loader, _ = CLASSES[learner]
    model = small_model(loader, config)
    collator = Collator(labelling, pad_token(config), takes_token_types(model))
    rows = [row(length, config.vocab_size, labelling) for length in (PROMPT, PROMPT // 3)]
    expected = np.concatenate([alone(model, collator, one) for one in rows])
    try:
        export_classifier(model, collator, scratch / "model.onnx")
    except StageFailure as failure:
        return Rehearsed(EXPORTER_FAILS, failure.error.message.partition(": ")[2])
    try:
        found = OnnxClassifier(scratch / "model.onnx").logits(collator.batch(rows))
    except Exception as exc:
        return Rehearsed(CANNOT_RUN, first_line(exc))
    return compared(found, expected)


def rehearse_embedding(config: Any, scratch: Path) -> Rehearsed:
    """torch.onnx, and two texts of unlike length beside each other."""
    model = small_model(AutoModel, config)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    texts = [torch.randint(2, config.vocab_size, (length,)).numpy() for length in (PROMPT, PROMPT // 3)]
    try:
        export_embedding(model, "mean", scratch / "model.onnx")
    except StageFailure as failure:
        return Rehearsed(EXPORTER_FAILS, failure.error.message.partition(": ")[2])
    try:
        found = compare(OnnxEmbedding(scratch / "model.onnx"), model, "mean", texts)
    except Exception as exc:
        return Rehearsed(CANNOT_RUN, first_line(exc))
    lowest = min(found)
    return Rehearsed() if lowest >= LEAST_COSINE else Rehearsed(DIFFERS, f"the cosine similarity of a text's vectors is {lowest:.6f}")


def small_model(loader: Any, config: Any) -> Any:
    """The copy in fp32, its weights random; refuses to make a large one."""
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in loader.from_config(config).parameters())
    if size > TOO_LARGE:
        raise ValueError(f"even a copy of {config.num_hidden_layers} layers has {size:,} parameters")
    model = loader.from_config(config, dtype=torch.float32).eval()
    enliven(model)
    return model


def row(length: int, vocabulary: int, labelling: Labelling) -> LabelledRow:
    """Random tokens, all of which are asked for where tokens have labels."""
    ids = torch.randint(5, vocabulary, (length,)).numpy()
    return LabelledRow(ids, np.zeros_like(ids), np.zeros(length if labelling.per_token else 1, np.int64))


def compared(found: Any, expected: Any) -> Rehearsed:
    """Logits against PyTorch's. Raises ValueError where these say nothing of the export."""
    if not np.isfinite(expected).all() or not expected.any():
        raise ValueError("PyTorch computes no finite logits from the small copy's random weights")
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    return Rehearsed() if difference <= TOLERANCE else Rehearsed(DIFFERS, f"a logit differs by {difference:.1e} of the largest")


def first_line(exc: Exception) -> str:
    """Of a long message."""
    return str(exc).strip().splitlines()[0][:300]


def main(base: str, learner: LearnerName, scratch: str) -> None:
    """The program."""
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    print(json.dumps(asdict(rehearse(Path(base), learner, Path(scratch)))))
