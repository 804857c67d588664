"""onnx/fp32 of a draft, and the proof that it answers as the PyTorch model in model/ does."""

from pathlib import Path

from finetune_api.model_directory import Parity
from finetune_trainer.evaluation.rows import read_prompts
from finetune_trainer.export.greedy import Continuation
from finetune_trainer.export.onnx import build_onnx
from finetune_trainer.export.onnx_decoder import OnnxModel, onnx_decoder
from finetune_trainer.export.parity import check_parity, expected_continuations, tokens_as_text
from finetune_trainer.export.torch_decoder import torch_decoder
from finetune_trainer.failure import invalid
from finetune_trainer.publish.draft import Draft
from finetune_trainer.publish.inputs import Inputs
from finetune_trainer.publish.phases import Phases
from finetune_trainer.publish.weights import copy_tokenizer, load_model, release_memory

ONNX_FOLDER = "onnx/fp32"


def export_onnx(inputs: Inputs, draft: Draft, prompt_count: int, phases: Phases) -> Parity:
    """Writes onnx/fp32 from the files in model/ and compares their greedy answers to `prompt_count` held-out prompts."""
    merged, out = draft.files / "model", draft.files / ONNX_FOLDER
    prompts = read_prompts(inputs.workspace.prompts, prompt_count)
    if not prompts:
        raise invalid("NoPrompts", f"{inputs.workspace.prompts} holds no prompt to check the ONNX export with", param="export.onnx")
    with phases.phase("answering with PyTorch"):
        expected = pytorch_answers(merged, prompts, inputs.prepared.eos_token_ids, phases)
    release_memory()
    with phases.phase("exporting to ONNX"):
        build_onnx(merged, out, draft.scratch, phases.tick)
        copy_tokenizer(merged, out)
    with phases.phase("answering with ONNX"):
        exported = OnnxModel(out)
        words = tokens_as_text(merged / "tokenizer.json")
        return check_parity(ONNX_FOLDER, lambda: onnx_decoder(exported), prompts, expected, words, phases.prompts(len(prompts)))


def pytorch_answers(merged: Path, prompts: list[list[int]], end_tokens: list[int], phases: Phases) -> list[Continuation]:
    """Greedy answers of the written weights in fp32; the model is gone when this returns."""
    model = load_model(merged, "fp32", "cpu")
    return expected_continuations(lambda: torch_decoder(model), prompts, end_tokens, phases.prompts(len(prompts)))
