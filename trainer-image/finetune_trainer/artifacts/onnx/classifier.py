"""The ONNX model of a classifier: one graph, proven by the labels of validation rows."""

import shutil

from finetune_api.model_directory import Parity
from finetune_trainer.artifacts.exporter import ExportJob
from finetune_trainer.artifacts.onnx.classifier_graph import OnnxClassifier, export_classifier
from finetune_trainer.artifacts.onnx.classifier_parity import prove_labels
from finetune_trainer.classification.labelling import labelling_of
from finetune_trainer.classification.model import load_classifier
from finetune_trainer.classification.rows import LabelledRows
from finetune_trainer.tasks import find_task
from finetune_trainer.tokenizer import copy_tokenizer


def publish_classifier(job: ExportJob, folder: str, rows: int) -> Parity:
    """Exports files/model to files/`folder`, and compares the labels of the first `rows` validation rows."""
    run, merged, out = job.run, job.files / "model", job.files / folder
    name = find_task(run.config.task).learner
    assert name == "sequence" or name == "token"  # mypy knows which names are left
    labelling = labelling_of(name, run.prepared)
    with job.phases.phase("exporting to ONNX"):
        classifier = load_classifier(merged, labelling, run.prepared.hyperparameters.seed)
        export_classifier(classifier.model, classifier.collator, out / "model.onnx")
        shutil.copyfile(merged / "config.json", out / "config.json")
        copy_tokenizer(merged, out)
    with job.phases.phase("comparing with PyTorch"):
        held_out = LabelledRows(run.workspace.validation_rows, labelling, min(rows, run.config.evaluation.max_examples))
        compared = [held_out[row] for row in range(len(held_out))]
        exported = OnnxClassifier(out / "model.onnx")
        return prove_labels(folder, exported, classifier.model, classifier.collator, compared, job.phases.prompts(len(compared)))
