"""FineTuneJob: one training, from a dataset to a registered model."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.metrics import ANSWER_METRICS, CLASSIFIER_METRICS, RETRIEVAL_METRICS, SIMILARITY_METRICS
from finetune_api.resources.common import (
    Credentials,
    Duration,
    Labels,
    LabelValue,
    Name,
    ObjectName,
    VolumeClaim,
    immutable_rules,
    rule,
    rules,
)
from finetune_api.resources.dataset import Dataset
from finetune_api.resources.evaluation import Evaluation
from finetune_api.resources.export import Export
from finetune_api.resources.learning import Checkpoints, Hyperparameters
from finetune_api.resources.method import Method
from finetune_api.resources.source import (
    OPTIONAL_SOURCE_RULES,
    ModelAddress,
)
from finetune_api.resources.stages import Preparation, Publishing, Training
from finetune_api.resources.tracking import Tracking

TaskName = Literal["chat", "completion", "summarization", "sequence-classification", "token-classification", "text-embedding"]


class ModelRef(Document):
    """A FineTunedModel in the same namespace."""

    name: Name
    """Name of the FineTunedModel."""


class Base(Document):
    """The base model. Exactly one of `source` (with `credentials`, if required) and `fineTunedModel` must be set."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("has(self.source) != has(self.fineTunedModel)", "exactly one of source and fineTunedModel must be set"),
            *OPTIONAL_SOURCE_RULES,
        )
    }
    source: ModelAddress | None = None
    """source is the address of a folder with config.json, tokenizer.json and *.safetensors: pvc://CLAIM/PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
    abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX or hf://OWNER/NAME[@REVISION]."""
    credentials: Credentials | None = None
    """credentials for the object store or the Hub; not allowed for a claim."""
    fine_tuned_model: ModelRef | None = None
    """fineTunedModel continues from an earlier model, using its merged weights as the base."""


class Output(Document):
    """The model that the job creates."""

    model: Name | None = None
    """model is the name of the FineTunedModel. Defaults to the name of the job."""
    labels: Labels = {}
    """labels to add to the FineTunedModel and its volume. The labels of the job are not inherited, because GitOps tools use them for
    tracking."""
    storage: VolumeClaim = VolumeClaim()
    """storage describes the volume of the model. The size defaults to prepare's estimate."""


class Workspace(Document):
    """The volume for downloads, prepared rows and checkpoints of the job: a new volume, or an existing claim."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.claimName) || (!has(self.storage.size) && !has(self.storage.storageClassName))",
                "storage.size and storage.storageClassName must not be set together with claimName: they describe a new volume",
                fieldPath=".claimName",
            )
        )
    }
    claim_name: ObjectName | None = None
    """claimName is an existing claim; the job uses a separate folder in it."""
    storage: VolumeClaim = VolumeClaim()
    """storage describes a new volume. The size defaults to 20Gi."""


class Limits(Document):
    """Timeouts, retries and retention of a job."""

    start_deadline: Duration = "15m"
    """startDeadline is how long a scheduled pod may take to start (image, Secret, volume) before the job fails.
    The time that training pods wait for each other is fixed when the job starts."""
    schedule_timeout: Duration = "24h"
    """scheduleTimeout is how long pods may be unschedulable (phase Queued) before the job fails."""
    deadline: Duration | None = None
    """deadline is the maximum duration of the whole job, not counting pauses."""
    stall_timeout: Duration = "30m"
    """stallTimeout is how long a running stage may make no progress. Fixed when the job starts: later changes do not affect its pods."""
    max_restarts: Annotated[int, Field(ge=0, le=100)] = 3
    """maxRestarts is the number of new attempts after a pod or process fails. Preemption, eviction and pause do not count."""
    auto_micro_batch: bool = True
    """autoMicroBatch: a training that runs out of memory is tried once more, with half the micro-batch and twice the accumulation.
    The losses are the same. This attempt does not count against maxRestarts."""
    ttl_after_finished: Duration | None = None
    """ttlAfterFinished is how long a finished job keeps its workspace and its stage Jobs with their pods. If not set, they are kept until
    the job is deleted. The model, this object and an existing claim (workspace.claimName) are not deleted."""


IMMUTABLE = (
    "task", "base", "dataset", "method", "hyperparameters", "preparation", "training", "publishing", "checkpoints",
    "evaluation", "export", "output", "workspace", "tracking",
)  # fmt: skip


def _immutable(field: str) -> dict[str, Any]:
    return rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field}: field is immutable; to train again, create a FineTuneJob with a new name",
        fieldPath=f".{field}",
    )


class FineTuneJobSpec(Document):
    """Immutable except suspend, cancel and limits (and queueName while suspended)."""

    model_config = Document.model_config | {
        "json_schema_extra": immutable_rules(
            *map(_immutable, IMMUTABLE),
            rule(
                "(has(self.queueName) == has(oldSelf.queueName) && (!has(self.queueName) || self.queueName == oldSelf.queueName))"
                " || (self.suspend && oldSelf.suspend)",
                "queueName can be changed only while the job is suspended",
                fieldPath=".queueName",
            ),
            rule("!oldSelf.cancel || self.cancel", "cancel cannot be changed back to false", fieldPath=".cancel"),
            rule(
                "self.task in ['chat', 'completion', 'summarization']"
                " || (!has(self.dataset.train.template) && !has(self.dataset.validation.template))",
                "template builds a prompt and a completion: it can be used only with chat, completion and summarization",
                fieldPath=".dataset",
            ),
            rule(
                "self.task in ['chat', 'completion', 'summarization'] || self.method.lossOn != 'all'",
                "lossOn: all is available for chat, completion and summarization only",
                fieldPath=".method.lossOn",
            ),
            rule(
                "self.task.endsWith('classification') || !has(self.method.sft) || !("
                "(has(self.method.sft.balancedClasses) && self.method.sft.balancedClasses) || "
                "(has(self.method.sft.classWeights) && size(self.method.sft.classWeights) > 0) || "
                "(has(self.method.sft.focalGamma) && self.method.sft.focalGamma > 0.0))",
                "sft: balancedClasses, classWeights and focalGamma are available for classification only",
                fieldPath=".method.sft",
            ),
            rule(
                "self.task != 'text-embedding' || !has(self.method.sft) || !has(self.method.sft.labelSmoothing)"
                " || self.method.sft.labelSmoothing == 0.0",
                "sft: labelSmoothing is for labels and tokens, and text-embedding learns neither",
                fieldPath=".method.sft",
            ),
            rule(
                "self.task != 'text-embedding' || !has(self.method.sft) || !has(self.method.sft.customLoss)",
                "sft: customLoss is available for language models and classifiers only",
                fieldPath=".method.sft",
            ),
            rule(
                "self.method.objective == 'sft' || self.task in ['chat', 'completion']",
                "objective: preferences can be learned with task chat or completion only; use objective: sft for the other tasks",
                fieldPath=".method.objective",
            ),
            rule(
                "self.method.objective == 'sft' || (!has(self.dataset.train.template) && !has(self.dataset.validation.template))",
                "template builds a prompt and one completion: with this objective, name the fields of a row with columns",
                fieldPath=".dataset",
            ),
            rule(
                "self.task in ['chat', 'completion', 'summarization'] || !has(self.hyperparameters)"
                " || !has(self.hyperparameters.neftuneNoise)",
                "neftuneNoise is for language models: it is available for chat, completion and summarization only",
                fieldPath=".hyperparameters.neftuneNoise",
            ),
            rule(
                "self.training.gpusPerNode > 0 || !has(self.hyperparameters) || !has(self.hyperparameters.precision)"
                " || !(self.hyperparameters.precision in ['fp16', 'tf32'])",
                "precision: fp16 and tf32 need GPUs: set training.gpusPerNode, or use bf16 or fp32",
                fieldPath=".hyperparameters.precision",
            ),
            rule(
                "!has(self.hyperparameters) || !has(self.hyperparameters.precision) || self.hyperparameters.precision != 'fp16'"
                " || !has(self.training.strategy) || self.training.strategy.type != 'deepspeed'",
                "strategy: precision fp16 cannot be used with deepspeed; use auto, ddp, fsdp or tensor-parallel",
                fieldPath=".training.strategy",
            ),
            rule(
                "self.training.gpusPerNode > 0 || !has(self.training.strategy) || !has(self.training.strategy.offload)"
                " || self.training.strategy.offload == 'none'",
                "strategy: offload moves what a GPU would hold to the host's memory, and the training has no GPUs: set "
                "training.gpusPerNode, or remove offload",
                fieldPath=".training.strategy",
            ),
            rule(
                "has(self.evaluation.everySteps) || !has(self.hyperparameters) || !has(self.hyperparameters.earlyStopping)",
                "earlyStopping watches the validation loss of the training: set evaluation.everySteps",
                fieldPath=".hyperparameters.earlyStopping",
            ),
            rule(
                "has(self.evaluation.everySteps) || !has(self.hyperparameters) || !has(self.hyperparameters.loadBestModelAtEnd)"
                " || !self.hyperparameters.loadBestModelAtEnd",
                "loadBestModelAtEnd compares checkpoints by their validation loss: set evaluation.everySteps",
                fieldPath=".hyperparameters.loadBestModelAtEnd",
            ),
            rule(
                "self.method.type != 'qlora' || !has(self.training.strategy) || self.training.strategy.type != 'tensor-parallel'",
                "strategy: tensor-parallel cannot divide a quantized base; use auto, ddp, fsdp or deepspeed",
                fieldPath=".training.strategy",
            ),
            rule(
                "!has(self.method.qlora) || self.method.qlora.quantization != 'int8' || !has(self.training.strategy)"
                " || !(self.training.strategy.type in ['fsdp', 'deepspeed'])",
                "strategy: fsdp and deepspeed can divide a base of quantization nf4 only; with int8, use auto or ddp",
                fieldPath=".training.strategy",
            ),
            rule(
                "!has(self.hyperparameters) || !has(self.hyperparameters.optimizer) || self.hyperparameters.optimizer == 'adamw'"
                " || !has(self.training.strategy) || self.training.strategy.type in ['auto', 'ddp']",
                "strategy: only ddp can be used with this optimizer, as the others divide the optimizer's state, which only adamw allows",
                fieldPath=".training.strategy",
            ),
            rule(
                "self.task in ['chat', 'completion', 'summarization'] || !has(self.training.strategy)"
                " || self.training.strategy.type != 'tensor-parallel'",
                "strategy: tensor-parallel trains language models only; use auto, ddp or fsdp",
                fieldPath=".training.strategy",
            ),
            rule(
                "self.method.type != 'ia3' || !has(self.training.strategy) || self.training.strategy.type != 'tensor-parallel'",
                "strategy: tensor-parallel cannot be used with method.type ia3, whose factors it cannot divide; use auto, ddp, fsdp or "
                "deepspeed",
                fieldPath=".training.strategy",
            ),
            rule(
                "!has(self.training.strategy) || self.training.strategy.type != 'tensor-parallel' || !has(self.method.lora)"
                " || !self.method.lora.dora",
                "strategy: tensor-parallel cannot be used with method.lora.dora, which needs the norms of whole weights",
                fieldPath=".training.strategy",
            ),
            rule(
                "!has(self.evaluation.gate) || self.evaluation.gate.all("
                f"g, (self.task.endsWith('classification') || !(g.metric in {list(CLASSIFIER_METRICS)}))"
                f" && (self.task == 'text-embedding' || !(g.metric in {list(RETRIEVAL_METRICS + SIMILARITY_METRICS)}))"
                f" && !((self.task == 'text-embedding' || self.task.endsWith('classification')) && g.metric in {list(ANSWER_METRICS)}))",
                "gate: perplexity and rewards are available for language models only, accuracy and f1 for classifiers only, recallAt1, "
                "recallAt10 and spearman for text-embedding only",
                fieldPath=".evaluation.gate",
            ),
            rule(
                "self.method.objective != 'sft' || !has(self.evaluation.gate) || self.evaluation.gate.all("
                "g, !g.metric.startsWith('reward'))",
                "gate: rewardAccuracy and rewardMargin are not available with objective sft, which compares no answers",
                fieldPath=".evaluation.gate",
            ),
            rule(
                "self.method.objective == 'kto' || !has(self.evaluation.gate) || self.evaluation.gate.all(g, g.metric != 'kl')",
                "gate: kl is available with objective kto only",
                fieldPath=".evaluation.gate",
            ),
            rule(
                "self.training.nodes == 1 || has(self.workspace.claimName) || self.workspace.storage.accessMode == 'ReadWriteMany'",
                "training.nodes > 1 requires a workspace that several nodes can mount: set workspace.storage.accessMode to ReadWriteMany",
                fieldPath=".workspace.storage.accessMode",
            ),
        )
    }
    task: TaskName = "chat"
    """task determines what the model learns and the fields of a row; see dataset."""
    base: Base
    """base is the model to start from."""
    dataset: Dataset
    """dataset has the training and validation rows."""
    method: Method = Method()
    """method of fine-tuning."""
    hyperparameters: Hyperparameters = Hyperparameters()
    """hyperparameters of the training. Values that are not set are chosen from the dataset and the model."""
    preparation: Preparation = Preparation()
    """preparation configures the stage that validates and tokenizes the dataset, without a GPU."""
    training: Training = Training()
    """training configures the stage that trains."""
    publishing: Publishing = Publishing()
    """publishing configures the stage that evaluates, merges, exports and registers the model."""
    checkpoints: Checkpoints = Checkpoints()
    """checkpoints to resume training from, and whether they are published with the model."""
    evaluation: Evaluation = Evaluation()
    """evaluation of the tuned model against its base, and the gate that it must pass."""
    export: Export = Export()
    """export selects formats to write in addition to the merged safetensors."""
    output: Output = Output()
    """output describes the FineTunedModel that the job creates."""
    workspace: Workspace = Workspace()
    """workspace is the volume for downloads, prepared rows and checkpoints."""
    tracking: Tracking = Tracking()
    """tracking shows the training on an MLflow server or on Weights & Biases."""
    limits: Limits = Limits()
    """limits are timeouts, retries and retention."""
    suspend: bool = False
    """suspend pauses the job: the running attempt writes a checkpoint and terminates. Set to false to resume from there."""
    cancel: bool = False
    """cancel terminates the job permanently. Its workspace is kept until the job is deleted."""
    queue_name: LabelValue | None = None
    """queueName is the Kueue LocalQueue for the stage Jobs."""


def spec_digest(spec: FineTuneJobSpec) -> str:
    """sha256 of what determines the model: two jobs with the same digest train the same model from the same sources.

    What has its default's value is left out, so that a field which a later version adds changes no digest. References (data, base, code
    of a loss) count as they are written: what they refer to is read by prepare alone.
    """
    decisive = {"task", "base", "dataset", "method", "hyperparameters", "evaluation", "export"}
    if spec.checkpoints.publish:
        decisive.add("checkpoints")  # otherwise they do not outlive the job
    chosen = spec.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        exclude_defaults=True,
        include=decisive,
        exclude={"checkpoints": {"store"}},
    )
    return hashlib.sha256(json.dumps(chosen, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def output_name(job: str, spec: FineTuneJobSpec) -> str:
    """Name of the FineTunedModel that the job makes."""
    return spec.output.model or job
