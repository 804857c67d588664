"""The ONNX model of a language model: built by onnxruntime-genai's builder, proven by greedy answers."""

import gc
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from finetune_api.model_directory import Parity
from finetune_trainer.artifacts.exporter import ExportJob
from finetune_trainer.artifacts.onnx.build import build_onnx
from finetune_trainer.artifacts.onnx.decoder import OnnxModel, answer_greedily, onnx_decoder
from finetune_trainer.artifacts.onnx.parity import TOKENS, prove_parity
from finetune_trainer.failure import invalid
from finetune_trainer.language_model.model import load_model
from finetune_trainer.language_model.rows import read_prompt_tokens
from finetune_trainer.tokenizer import copy_tokenizer


def publish_language_model(job: ExportJob, folder: str, rows: int) -> Parity:
    """Exports files/model to files/`folder`, and compares the greedy answers to `rows` validation prompts."""
    run, phases, merged, out = job.run, job.phases, job.files / "model", job.files / folder
    prompts = read_prompt_tokens(run.workspace.prompts, rows)
    if not prompts:
        raise invalid("NoPrompts", f"{run.workspace.prompts} has no prompt to check the ONNX export with", param="export.onnx")
    with phases.phase("exporting to ONNX"):
        build_onnx(merged, out, job.scratch, phases.tick)
        copy_tokenizer(merged, out)
    with phases.phase("answering with ONNX"):
        answers = onnx_answers(out, prompts, run.prepared.eos_token_ids, phases.prompts(len(prompts)))
    gc.collect()
    with phases.phase("comparing with PyTorch"):
        model = load_model(merged, "fp32", "cpu")
        texts = tokens_as_text(merged / "tokenizer.json")
        return prove_parity(folder, prompts, answers, model, texts, phases.prompts(len(prompts)))


def onnx_answers(folder: Path, prompts: list[list[int]], end_tokens: list[int], show: Callable[[int], None]) -> list[list[int]]:
    """Greedy answers of an exported model; the model is gone when this returns."""
    model = OnnxModel(folder)
    answers: list[list[int]] = []
    for prompt in prompts:
        answers.append(answer_greedily(onnx_decoder(model), prompt, TOKENS, end_tokens))
        show(len(answers))
    return answers


def tokens_as_text(tokenizer_file: Path) -> Callable[[int], str]:
    """A function from a token to its text."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    return lambda token: tokenizer.decode([token], skip_special_tokens=False)
