"""Classifiers: scored by loss, accuracy and F1, exported as one ONNX graph, proven by their labels."""

import shutil
from pathlib import Path
from typing import Any

from finetune_api.model_directory import Parity, Scores
from finetune_trainer.artefacts.onnx.classifier import OnnxClassifier, export_classifier
from finetune_trainer.artefacts.onnx.classifier_parity import prove_labels
from finetune_trainer.classification.labelling import Labelling
from finetune_trainer.classification.model import Classifier, load_classifier
from finetune_trainer.classification.rows import LabelledRows
from finetune_trainer.classification.score import score_classifier
from finetune_trainer.publish.draft import ONNX_FOLDER, Draft
from finetune_trainer.publish.inputs import Inputs
from finetune_trainer.publish.kind import Show, scored_tokens
from finetune_trainer.publish.phases import Phases
from finetune_trainer.publish.tokenizer import copy_tokenizer
from finetune_trainer.publish.weights import DTYPES


class ClassifierKind:
    """A Kind. The base is the base model with the head that training starts from: the seed makes it again."""

    def __init__(self, inputs: Inputs, labelling: Labelling) -> None:
        self._inputs = inputs
        self._labelling = labelling
        self._rows = LabelledRows(inputs.workspace.validation_rows, labelling, inputs.config.evaluation.max_examples)
        self.examples = len(self._rows)
        self.tokens = int((self._rows.supervised if labelling.per_token else self._rows.lengths).sum())

    def load(self, folder: Path, precision: str, device: str) -> Any:
        """A classifier; a folder without this job's labels gets the head that training starts from."""
        return self._load(folder).model.to(DTYPES[precision]).to(device)

    def score(self, model: Any, show: Show) -> Scores:
        """Loss, accuracy and F1."""
        budget = scored_tokens(model, self._inputs.prepared.hyperparameters.micro_batch_tokens)
        return score_classifier(model, self._rows, self._collator, budget, show)

    def save(self, model: Any, folder: Path) -> None:
        """With head and labels."""
        model.save_pretrained(folder)
        copy_tokenizer(self._inputs.base, folder, self._inputs.prepared.chat_template)

    def export(self, draft: Draft, rows: int, phases: Phases) -> Parity:
        """Compares the labels of the first `rows` held-out rows."""
        merged, out = draft.files / "model", draft.files / ONNX_FOLDER
        with phases.phase("exporting to ONNX"):
            classifier = self._load(merged)
            export_classifier(classifier.model, classifier.collator, out / "model.onnx")
            shutil.copyfile(merged / "config.json", out / "config.json")
            copy_tokenizer(merged, out)
        with phases.phase("comparing with PyTorch"):
            held_out = [self._rows[row] for row in range(min(rows, len(self._rows)))]
            exported = OnnxClassifier(out / "model.onnx")
            return prove_labels(ONNX_FOLDER, exported, classifier.model, classifier.collator, held_out, phases.prompts(len(held_out)))

    def _load(self, folder: Path) -> Classifier:
        loaded = load_classifier(folder, self._labelling, self._inputs.prepared.hyperparameters.seed)
        self._collator = loaded.collator
        return loaded
