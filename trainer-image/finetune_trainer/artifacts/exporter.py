"""What an artifact is asked for by prepare (may it be promised, how large is it), publish (write it) and inspect (is it right).

Imports neither torch nor numpy, so that inspect starts quickly: what needs them is imported by `export`, when it runs.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from finetune_api.document import Document
from finetune_api.model_directory import Manifest, Parity
from finetune_api.resources.learning import Precision
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import StageFailure, invalid
from finetune_trainer.stage.phases import Phases
from finetune_trainer.stage.progress import ProgressPrinter

if TYPE_CHECKING:
    from finetune_trainer.learner import Learner
    from finetune_trainer.trained import TrainedRun, TunedModel

Settings = TypeVar("Settings", bound=Document)


@dataclass(frozen=True)
class BaseFacts:
    """A base model before its weights are here."""

    name: str
    """As the user wrote it."""
    architecture: str
    """Of config.json: LlamaForCausalLM."""
    model_type: str
    """Of config.json: llama."""


@dataclass(frozen=True)
class ModelSize:
    """What the size of an artifact depends on."""

    parameters: int
    trained: int = 0
    """Parameters that training changes: those of the adapter with LoRA, all of them otherwise."""
    small_files: int = 0
    """Bytes of tokenizer and configuration."""
    precision: Precision = "bf16"
    """That the model is published in."""


@dataclass(frozen=True)
class ExportJob:
    """What an artifact is made from, and where it goes."""

    run: "TrainedRun"
    learner: "Learner"
    tuned: "TunedModel"
    """For the artifact that writes the weights; the others read them from files/model."""
    files: Path
    """The future model directory: an artifact writes into its own folder there."""
    scratch: Path
    """For temporary files, on the same volume."""
    phases: Phases


class Exporter(ABC):
    """One form of a model. Messages call it `export.<name>`, the manifest has its files under format `<name>`."""

    name: str
    """As the run config's export and the manifest's format write it."""
    folder: str
    """Where its files lie in the model directory."""
    precision: str = ""
    """Of its numbers; "": that of the safetensors in its folder."""
    required: bool = False
    """There is no model without it: its failure is the stage's. Any other that fails is listed in missingArtifacts."""

    def wanted(self, run: RunConfig) -> bool:
        """True when the run writes it."""
        return self.name in run.export

    def check(self, run: RunConfig, base: BaseFacts) -> None:
        """Raises StageFailure for a base model or settings that it cannot be made from. For prepare, before anything is fetched."""
        return

    def rehearse(self, run: RunConfig, base: BaseFacts, small_files: Path, progress: ProgressPrinter) -> list[str]:
        """Tries what can be tried without weights and without a GPU, from the base's JSON files; returns notes, raises StageFailure."""
        return []

    @abstractmethod
    def size(self, model: ModelSize) -> int:
        """Bytes, estimated."""

    @abstractmethod
    def export(self, job: ExportJob) -> Parity | None:
        """Writes the files. Returns the proof that they answer as the PyTorch model does, where there is one to give.

        Raises StageFailure when it fails, also for an export that answers otherwise.
        """

    def verify(self, root: Path, manifest: Manifest) -> list[StageFailure]:
        """What is wrong with its files in the model directory `root`, besides checksums. For inspect."""
        return []

    def proof(self, parity: Parity) -> str:
        """The proof as a sentence of the model card."""
        return f"`{parity.artifact}` gives the same answers as PyTorch in fp32: {parity.equal} of {parity.prompts} validation prompts."

    def loading(self, task: str) -> list[str]:
        """Lines of Python for the model card: how it is loaded without a server."""
        return []

    def settings(self, run: RunConfig, model: type[Settings]) -> Settings:
        """What the run config says of it; raises StageFailure (InvalidSpec) naming the field."""
        try:
            return model.model_validate(run.export.get(self.name, {}))
        except ValidationError as exc:
            first = exc.errors()[0]
            param = ".".join(["export", self.name, *map(str, first["loc"])])
            raise invalid("InvalidSpec", f"{param}: {first['msg']}", param=param) from exc
