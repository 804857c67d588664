"""onnx/fp32/: the model of the onnx engine, with proof that it answers as PyTorch does.

rehearsal.py          before a GPU is asked for: the export of a small copy, in a process of its own   (no torch)
rehearse.py           that process
small_copy.py         the small copy: its config and its weights
language_model.py     language models: export and proof
build.py              starts the builder
builder.py            onnxruntime-genai's builder, set up for the server and transformers 5
decoder.py            an exported language model as a greedy decoder
parity.py             the proof: token for token
embedding.py          embedding models: graph, export and proof
classifier.py         classifiers: export and proof
classifier_graph.py   a classifier as one graph
classifier_parity.py  the proof: label by label
session.py            an exported graph on onnxruntime
"""

from pathlib import Path

from finetune_api.model_directory import Manifest, Parity
from finetune_api.resources.export import OnnxExport
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.exporter import BaseFacts, Exporter, ExportJob, ModelSize
from finetune_trainer.artifacts.labels import label_findings
from finetune_trainer.artifacts.onnx.rehearsal import rehearse_export
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.families import families
from finetune_trainer.methods.method import FP32
from finetune_trainer.stage.progress import ProgressPrinter


class Onnx(Exporter):
    """A graph in fp32 for onnxruntime on the CPU, with the tokenizer's files."""

    name = "onnx"
    folder = "onnx/fp32"
    precision = "fp32"

    def check(self, run: RunConfig, base: BaseFacts) -> None:
        """Refuses families whose export is known to fail."""
        self.settings(run, OnnxExport)
        family = families()[base.model_type]
        if family.onnx:
            others = (other for other in families().values() if other.kind == family.kind and other.trainable and not other.onnx)
            raise invalid(
                "ExportUnsupported",
                f"{base.name} is a {base.architecture}, which cannot be exported to ONNX: {family.onnx}. Leave export.onnx out, or use a "
                f"model of one of these types: {', '.join(other.model_type for other in others)}",
                param="export.onnx",
            )

    def rehearse(self, run: RunConfig, base: BaseFacts, small_files: Path, progress: ProgressPrinter) -> list[str]:
        """Exports a small copy of this very model and compares it."""
        return rehearse_export(run, base, small_files, progress)

    def size(self, model: ModelSize) -> int:
        """Every parameter in fp32."""
        return FP32 * model.parameters + model.small_files

    def export(self, job: ExportJob) -> Parity:
        """Compares greedy answers to validation prompts, the labels of validation rows, or the vectors of their texts."""
        rows = self.settings(job.run.config, OnnxExport).parity_prompts
        if learner_name(job.run.config.task) == "embedding":
            from finetune_trainer.artifacts.onnx.embedding import publish_embedding

            return publish_embedding(job, self.folder, rows)
        if learner_name(job.run.config.task) != "language":
            from finetune_trainer.artifacts.onnx.classifier import publish_classifier

            return publish_classifier(job, self.folder, rows)
        from finetune_trainer.artifacts.onnx.language_model import publish_language_model

        return publish_language_model(job, self.folder, rows)

    def verify(self, root: Path, manifest: Manifest) -> list[StageFailure]:
        """A classifier must name the manifest's labels."""
        return label_findings(root, self.folder, manifest)

    def proof(self, parity: Parity) -> str:
        """What was compared with PyTorch."""
        if parity.min_cosine is not None:
            return (
                f"`{parity.artifact}` gives the same vectors as PyTorch in fp32: {parity.equal} of {parity.prompts} validation texts; the "
                f"lowest cosine similarity is {parity.min_cosine:.6f}."
            )
        if parity.max_difference is not None:
            return (
                f"`{parity.artifact}` gives the same labels as PyTorch in fp32: {parity.equal} of {parity.prompts} validation rows; no "
                f"logit differs by more than {parity.max_difference:.1e}."
            )
        return (
            f"`{parity.artifact}` gives the same greedy answers as PyTorch in fp32: {parity.equal} of {parity.prompts} validation "
            f"prompts, up to {parity.tokens} tokens each."
        )

    def loading(self, task: str) -> list[str]:
        """On onnxruntime; language models with its generation library."""
        if learner_name(task) != "language":
            return ["import onnxruntime", "", f'session = onnxruntime.InferenceSession("{self.folder}/model.onnx")']
        return ["import onnxruntime_genai", "", f'model = onnxruntime_genai.Model("{self.folder}")']


def learner_name(task: str) -> str:
    """What learns from the task's rows."""
    from finetune_trainer.tasks import find_task  # imports numpy

    return find_task(task).learner
