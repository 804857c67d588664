"""Contract 5: the model directory, what publish leaves on the model volume and a server starts from.

    MANIFEST.json          this module's `Manifest`; written last, so a directory without it is not a model
    model/                 the merged model: config.json, tokenizer files, *.safetensors (Hugging Face layout)
    adapter/               the PEFT adapter, when the model was trained with LoRA
    onnx/fp32/             model.onnx (+ .data), genai_config.json, tokenizer.json, tokenizer_config.json, chat template; of a
                           classifier or an embedding model model.onnx, config.json (id2label, problem_type), tokenizer.json,
                           tokenizer_config.json
    report.json            what prepare found in the dataset (`finetune_api.dataset_report.DatasetReport`)
    metrics.csv            step, loss, learning rate, tokens per second of the whole run
    README.md              the model card
    checkpoints/step-N/    another step of the training as a model directory of its own, where the job publishes checkpoints

Every file but MANIFEST.json is listed in it with its size and sha256; of a checkpoint only its own MANIFEST.json, which lists the
others. Paths are relative to the directory and use "/".
"""

import hashlib
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from finetune_api import CONTRACT_VERSION
from finetune_api.bounded import Count, Real
from finetune_api.document import LenientDocument
from finetune_api.metrics import MetricName, Scores

MANIFEST_FILE = "MANIFEST.json"
CHECKPOINTS_FOLDER = "checkpoints"

ArtifactFormat = Annotated[str, Field(max_length=32)]
"""safetensors, adapter, onnx, or what else an image of the trainer can write."""


class File(LenientDocument):
    """One file of an artifact."""

    path: str
    size_bytes: Count
    sha256: str


def files_digest(files: Iterable[File]) -> str:
    """sha256 over the lines "<sha256>  <path>\\n" of `files`, sorted by path."""
    lines = (f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda file: file.path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_inside(path: str, folder: str = "") -> bool:
    """True for a relative path that stays below `folder`."""
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and pure.is_relative_to(folder)


def checkpoint_folder(step: int) -> str:
    """Of the checkpoint that was published of this step."""
    return f"{CHECKPOINTS_FOLDER}/step-{step}"


def unlisted(found: Iterable[str], listed: Collection[str]) -> list[str]:
    """Of the paths found in an artifact's folder, those that a loader might take although the manifest has no checksum of them.

    Hidden files and folders (.nfs0001, .snapshot/) are the file system's own business: no loader looks for them.
    """
    return [path for path in found if path not in listed and not any(part.startswith(".") for part in PurePosixPath(path).parts)]


class Artifact(LenientDocument):
    """A set of files that something can load, all below `path`."""

    format: ArtifactFormat
    precision: str
    """fp32, bf16, ..."""
    path: str
    size_bytes: Count
    sha256: str
    """`files_digest` of its files."""
    files: list[File] = []


class MissingArtifact(LenientDocument):
    """An artifact that `export` asks for and that could not be made. The model is whole without it."""

    format: ArtifactFormat
    precision: str
    checkpoint: Count | None = None
    """The checkpoint whose artifact it is, by its step; None: the model's own. A checkpoint without safetensors was not published."""
    reason: str
    """CamelCase, stable: ParityFailed, ExportUnsupported, OutOfMemory, StorageFull, ..."""
    message: str
    """What went wrong, and what to do next."""

    @property
    def text(self) -> str:
        """ "onnx fp32: ParityFailed: onnx/fp32 does not answer as ...", for people."""
        return f"{self.name}: {self.reason}: {self.message}"

    @property
    def name(self) -> str:
        """ "onnx fp32", "onnx fp32 of checkpoint 40"."""
        whose = "" if self.checkpoint is None else f" of checkpoint {self.checkpoint}"
        return f"{self.format} {self.precision}".rstrip() + whose


class PublishedCheckpoint(LenientDocument):
    """Another step of the same training in a model directory of its own: `checkpoint_folder(step)`."""

    step: Count
    loss: Real | None = None
    """Training loss of its step."""
    validation_loss: Real | None = None
    """On the validation rows, as the model's own is measured."""
    gate_passed: bool = True
    lacking: list[str] | None = None
    """Artifacts that the model has and this checkpoint has not: "onnx fp32"; None: it has all of them."""
    size_bytes: Count
    """Of all its files."""
    manifest_sha256: str | None = None
    """Of its MANIFEST.json, which has the sha256 of its other files."""


class GateResult(LenientDocument):
    """One condition of `evaluation.gate` and whether it held."""

    metric: str
    passed: bool
    text: str
    """For people: "loss 2.50 is better than the base's 4.03"."""


class Parity(LenientDocument):
    """Proof that an exported artifact answers as the PyTorch model does."""

    artifact: str
    """The artifact's path."""
    prompts: Count
    """Held-out prompts; rows of a classifier; texts of an embedding model."""
    equal: Count
    """Those whose greedy continuation is token-equal; of a classifier, whose labels are equal; of an embedding model, whose vectors
    are."""
    tokens: Count
    """Longest continuation compared; 0 without continuations."""
    max_difference: Real | None = None
    """Of a classifier: the largest difference of a logit."""
    min_cosine: Real | None = None
    """Of an embedding model: the lowest cosine similarity of a text's two vectors."""


class SkewCheck(LenientDocument):
    """Proof that the model is asked what it was trained on: the server's own code makes the tokens of held-out prompts from the
    model's files, and they are the ones that training has in front of the answers."""

    prompts: Count
    """Held-out prompts; inputs of a classifier."""
    equal: Count
    """Those with the same tokens."""
    difference: str | None = None
    """Where the first two part, and what to do."""


class Interval(LenientDocument):
    """A 95 % confidence interval."""

    low: Real
    high: Real


class Intervals(LenientDocument):
    """By metric: percentiles over resampled rows, the same for both models (paired bootstrap)."""

    base: dict[MetricName, Interval] = {}
    tuned: dict[MetricName, Interval] = {}
    difference: dict[MetricName, Interval] = {}
    """Of tuned minus base: narrower than the other two suggest, as rows that are hard for one model are hard for the other."""


class EvaluationReport(LenientDocument):
    """Base against tuned on the same held-out rows, the gate, and the exports' parity.

    The base of a classifier is the base model with a new head, as training starts from it.
    """

    examples: Count
    tokens: Count
    base: Scores
    tuned: Scores
    intervals: Intervals | None = None
    """None for fewer than ten rows."""
    gate: list[GateResult] = []
    gate_passed: bool = True
    parity: list[Parity] = []


class Lineage(LenientDocument):
    """Where a model comes from."""

    job: str
    namespace: str
    job_uid: str
    spec_digest: str
    base: str
    """The base as the user wrote it."""
    base_digest: str
    base_model: str | None = None
    """The FineTunedModel it continues from."""
    dataset: str
    dataset_digest: str
    image: str
    hyperparameters: dict[str, float | int | str | bool]
    versions: dict[str, str]
    """Python package versions that computed it."""


class ModelDescription(LenientDocument):
    """What the manifest says of a model, and its model card shows."""

    contract_version: int = CONTRACT_VERSION
    model: str
    created_at: str
    """RFC 3339, UTC."""
    task: str
    type: Literal["adapter", "full"]
    labels: list[str] = []
    """Of a classifier: names by class index, as in config.json's id2label."""
    multi_label: bool = False
    """Of a classifier: each label is judged by itself (sigmoid), several or none may hold."""
    step: Count | None = None
    """Optimizer steps that the weights were trained for."""
    artifacts: list[Artifact]
    missing_artifacts: list[MissingArtifact] = []
    checkpoints: list[PublishedCheckpoint] = []
    """Other steps of the same training, in ascending order."""
    evaluation: EvaluationReport | None = None
    skew_check: SkewCheck | None = None
    """Of a model that was trained here."""
    lineage: Lineage | None = None


class Manifest(ModelDescription):
    """The content of MANIFEST.json."""

    other_files: list[File] = []

    def artifact(self, fmt: ArtifactFormat, precision: str) -> Artifact | None:
        """The artifact of that format and precision, or None."""
        return next((a for a in self.artifacts if a.format == fmt and a.precision == precision), None)

    @property
    def files(self) -> list[File]:
        """All files but those of checkpoints."""
        return [*self.other_files, *(file for artifact in self.artifacts for file in artifact.files)]

    @property
    def size_bytes(self) -> int:
        """Of the directory."""
        return sum(file.size_bytes for file in self.files) + sum(checkpoint.size_bytes for checkpoint in self.checkpoints)
