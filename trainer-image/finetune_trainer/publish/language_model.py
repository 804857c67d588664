"""Language models: scored by their loss, exported by onnxruntime-genai's builder, proven by greedy answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from finetune_api.model_directory import Parity, Scores
from finetune_trainer.artefacts.onnx.build import build_onnx
from finetune_trainer.artefacts.onnx.decoder import OnnxModel, onnx_decoder
from finetune_trainer.artefacts.onnx.greedy import answer_greedily
from finetune_trainer.artefacts.onnx.parity import TOKENS, prove_parity
from finetune_trainer.failure import invalid
from finetune_trainer.language_model.held_out import read_prompts, read_rows
from finetune_trainer.language_model.score import score
from finetune_trainer.publish.draft import ONNX_FOLDER, Draft
from finetune_trainer.publish.inputs import Inputs
from finetune_trainer.publish.kind import Show, scored_tokens
from finetune_trainer.publish.phases import Phases
from finetune_trainer.publish.tokenizer import copy_tokenizer
from finetune_trainer.publish.weights import load_model, release_memory, save_model


class LanguageModelKind:
    """A Kind."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._rows = read_rows(inputs.workspace.validation_rows, inputs.config.evaluation.max_examples)
        self.examples = len(self._rows)
        self.tokens = sum(row.targets for row in self._rows)

    def load(self, folder: Path, precision: str, device: str) -> Any:
        """A causal language model."""
        return load_model(folder, precision, device)

    def score(self, model: Any, show: Show) -> Scores:
        """Loss and perplexity."""
        return score(model, self._rows, scored_tokens(model, self._inputs.prepared.hyperparameters.micro_batch_tokens), show)

    def save(self, model: Any, folder: Path) -> None:
        """With the chat template that it was trained with."""
        prepared = self._inputs.prepared
        save_model(model, self._inputs.base, prepared.eos_token_ids, folder)
        copy_tokenizer(self._inputs.base, folder, prepared.chat_template)

    def export(self, draft: Draft, rows: int, phases: Phases) -> Parity:
        """Compares the greedy answers to `rows` held-out prompts."""
        inputs, merged, out = self._inputs, draft.files / "model", draft.files / ONNX_FOLDER
        prompts = read_prompts(inputs.workspace.prompts, rows)
        if not prompts:
            raise invalid("NoPrompts", f"{inputs.workspace.prompts} has no prompt to check the ONNX export with", param="export.onnx")
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
