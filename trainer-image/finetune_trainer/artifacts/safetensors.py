"""model/: the merged weights as a Hugging Face folder, in the precision of the training. Every model has it."""

from pathlib import Path

from finetune_api.model_directory import Manifest
from finetune_api.run_config import RunConfig
from finetune_trainer.artifacts.exporter import Exporter, ExportJob, ModelSize
from finetune_trainer.artifacts.labels import label_findings
from finetune_trainer.failure import StageFailure
from finetune_trainer.methods.method import BYTES


class Safetensors(Exporter):
    """Config, tokenizer files and *.safetensors."""

    name = "safetensors"
    folder = "model"
    required = True

    def wanted(self, run: RunConfig) -> bool:
        """Always."""
        return True

    def size(self, model: ModelSize) -> int:
        """Every parameter, as it is published."""
        return BYTES[model.precision] * model.parameters + model.small_files

    def export(self, job: ExportJob) -> None:
        """Takes the tuned model from memory."""
        with job.phases.phase("writing the model"):
            job.learner.save(job.tuned.take(), job.files / self.folder)

    def verify(self, root: Path, manifest: Manifest) -> list[StageFailure]:
        """A classifier must name the manifest's labels."""
        return label_findings(root, self.folder, manifest)
