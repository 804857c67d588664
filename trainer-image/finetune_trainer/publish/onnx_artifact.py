"""onnx/fp32 of a draft, and the proof that it answers as the PyTorch model in model/ does."""

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from finetune_api.model_directory import Parity
from finetune_trainer.evaluation.rows import read_prompts
from finetune_trainer.export.greedy import answer_greedily
from finetune_trainer.export.onnx import build_onnx
from finetune_trainer.export.onnx_decoder import OnnxModel, onnx_decoder
from finetune_trainer.export.parity import TOKENS, prove_parity
from finetune_trainer.failure import invalid
from finetune_trainer.publish.draft import Draft
from finetune_trainer.publish.inputs import Inputs
from finetune_trainer.publish.phases import Phases
from finetune_trainer.publish.weights import copy_tokenizer, load_model, release_memory

ONNX_FOLDER = "onnx/fp32"


def export_onnx(inputs: Inputs, draft: Draft, prompt_count: int, phases: Phases) -> Parity:
    """Writes onnx/fp32 from the files in model/ and compares the greedy answers to `prompt_count` held-out prompts."""
    merged, out = draft.files / "model", draft.files / ONNX_FOLDER
    prompts = read_prompts(inputs.workspace.prompts, prompt_count)
    if not prompts:
        raise invalid("NoPrompts", f"{inputs.workspace.prompts} holds no prompt to check the ONNX export with", param="export.onnx")
    with phases.phase("exporting to ONNX"):
        build_onnx(merged, out, draft.scratch, phases.tick)
        copy_tokenizer(merged, out)
    with phases.phase("answering with ONNX"):
        answers = onnx_answers(out, prompts, inputs.prepared.eos_token_ids, phases.prompts(len(prompts)))
    release_memory()
    with phases.phase("comparing with PyTorch"):
        model = load_model(merged, "fp32", "cpu")
        words = tokens_as_text(merged / "tokenizer.json")
        return prove_parity(ONNX_FOLDER, prompts, answers, model, words, phases.prompts(len(prompts)))


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
