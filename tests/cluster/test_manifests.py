"""What the API server takes and what it refuses, by dry run: a refusal names the field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.api import Api, Refused
from tests.cluster.control_plane import ControlPlane, rendered
from tests.cluster.objects import Object, deployment, job, model

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml"))
GOOD = [
    manifest
    for path in [Path(__file__).parent / "good_manifests.yaml", *EXAMPLES]
    for manifest in yaml.safe_load_all(path.read_text())
    if manifest["kind"] != "ConfigMap"
]
NAMES = {"FineTuneJob": "ftj", "FineTunedModel": "ftm", "ModelDeployment": "mdep"}
LONG = "a" * 41
CODE = {"configMapKeyRef": {"name": "losses", "key": "loss.py"}}
SECRET = {"secretRef": {"name": "s3"}}

# (kind, path to set, value; None takes it away, the field that the refusal must name, words of the refusal)
WRONG: list[tuple[str, str, Any, str, str]] = [
    ("ftj", "metadata.name", LONG, "metadata.name", "at most 40 characters"),
    ("ftj", "metadata.name", "my.job", "metadata.name", "start with a letter"),
    ("ftj", "metadata.name", "7b-job", "metadata.name", "start with a letter"),
    ("ftj", "spec", None, "spec", "Required value"),
    ("ftj", "spec.base", None, "spec.base", "Required value"),
    ("ftj", "spec.base", {}, "spec.base", "exactly one of source and fineTunedModel"),
    ("ftj", "spec.base.fineTunedModel", {"name": "other"}, "spec.base", "exactly one of source and fineTunedModel"),
    ("ftj", "spec.base.source", "HuggingFaceTB/SmolLM2-135M", "spec.base.source", "must be pvc://CLAIM/PATH, s3://BUCKET/PREFIX"),
    ("ftj", "spec.base.source", "s3://models/../secret", "spec.base.source", "must not contain '..'"),
    ("ftj", "spec.base.credentials", {}, "spec.base.credentials.secretRef", "Required value"),
    ("ftj", "spec.base", {"source": "pvc://models", "credentials": SECRET}, "spec.base.credentials", "cannot be used with pvc"),
    ("ftj", "spec.base", {"fineTunedModel": {"name": "a"}, "credentials": SECRET}, "spec.base.credentials", "credentials require a source"),
    ("ftj", "spec.base.source", "hf://owner/name/file", "spec.base.source", "or hf://OWNER/NAME"),
    ("ftj", "spec.base.source", "https://example.com/model", "spec.base.source", "or hf://OWNER/NAME"),
    ("ftj", "spec.base", {"fineTunedModel": {"name": LONG}}, "spec.base.fineTunedModel.name", "may not be more than 40"),
    ("ftj", "spec.task", "translation", "spec.task", 'supported values: "chat", "completion"'),
    ("ftj", "spec.tracking", {"mlflow": {}}, "spec.tracking.mlflow", "set uri, or credentials with a Secret"),
    ("ftj", "spec.tracking", {"mlflow": {"uri": "file:///runs"}}, "spec.tracking.mlflow.uri", "must be https://HOST"),
    ("ftj", "spec.tracking", {"mlflow": {"uri": "https://me:key@host"}}, "spec.tracking.mlflow.uri", "must not contain a user name"),
    ("ftj", "spec.tracking", {"wandb": {}}, "spec.tracking.wandb", "or mode: offline"),
    ("ftj", "spec.tracking", {"wandb": {"project": "a/b"}}, "spec.tracking.wandb.project", "must not contain /"),
    ("ftj", "spec.dataset.train", None, "spec.dataset.train", "Required value"),
    ("ftj", "spec.dataset.train.source", "/data/train.jsonl", "spec.dataset.train.source", "must be pvc://CLAIM/PATH, configmap://NAME/KEY"),
    ("ftj", "spec.dataset.train.source", "pvc://data", "spec.dataset.train.source", "must be pvc://CLAIM/PATH"),
    ("ftj", "spec.dataset.train.source", "configmap://a/b/c", "spec.dataset.train.source", "must be pvc://CLAIM/PATH"),
    ("ftj", "spec.dataset.train.source", "s3://Bucket/a b", "spec.dataset.train.source", "must be pvc://CLAIM/PATH"),
    ("ftj", "spec.dataset.train.source", "https://u:p@example.com/x", "spec.dataset.train.source", "put them in a Secret"),
    ("ftj", "spec.dataset.train.source", "http://u@example.com/x", "spec.dataset.train.source", "put them in a Secret"),
    ("ftj", "spec.dataset.train.source", "https://example.com/../x", "spec.dataset.train.source", "must not contain '..'"),
    ("ftj", "spec.dataset.train.source", "abfs://rows@example.com/x", "spec.dataset.train.source", "must be pvc://CLAIM/PATH"),
    ("ftj", "spec.dataset.train.source", "hf://owner/name/x", "spec.dataset.train.source", "hf://datasets/OWNER/NAME/PATH"),
    ("ftj", "spec.dataset.train", {"source": "configmap://a/b", "credentials": SECRET}, "train.credentials", "cannot be used with pvc"),
    ("ftj", "spec.dataset.validation", {"source": "https://u:p@example.com/x"}, "validation.source", "put them in a Secret"),
    ("ftj", "spec.dataset.validation", {"split": {}, "credentials": SECRET}, "validation.credentials", "credentials require a source"),
    ("ftj", "spec.dataset.train.source", "s3://b/" + "a" * 1024, "spec.dataset.train.source", "may not be more than 1024"),
    ("ftj", "spec.dataset.validation", {}, "spec.dataset.validation", "exactly one of split and source"),
    ("ftj", "spec.dataset.validation", {"split": {}, "source": "pvc://a/b"}, "spec.dataset.validation", "exactly one of split and source"),
    ("ftj", "spec.dataset.validation", {"split": {}, "format": "csv"}, "spec.dataset.validation", "slice require"),
    ("ftj", "spec.dataset.validation", {"split": {}, "columns": {"label": "c"}}, "spec.dataset.validation", "slice require"),
    ("ftj", "spec.dataset.validation", {"source": "pvc://a/../b"}, "spec.dataset.validation.source", "must not contain '..'"),
    ("ftj", "spec.dataset.validation", {"split": {"fraction": 1}}, "spec.dataset.validation.split.fraction", "less than 1"),
    ("ftj", "spec.dataset.validation", {"split": {"fraction": 0}}, "spec.dataset.validation.split.fraction", "greater than 0"),
    ("ftj", "spec.checkpoints", {"publish": True, "keep": 21}, "spec.checkpoints.keep", "at most 20 checkpoints can be published"),
    ("ftj", "spec.checkpoints", {"store": {"uri": "pvc://data/safe"}}, "spec.checkpoints.store.uri", "must be s3://BUCKET/PREFIX"),
    ("ftj", "spec.checkpoints", {"store": {"uri": "s3://safe"}}, "spec.checkpoints.store.uri", "must be s3://BUCKET/PREFIX"),
    ("ftj", "spec.checkpoints", {"store": {"uri": "s3://safe/../a"}}, "spec.checkpoints.store.uri", "must not contain '..'"),
    ("mdep", "spec.model.checkpoint", 0, "spec.model.checkpoint", "greater than or equal to 1"),
    ("ftj", "spec.method", {"type": "adapter"}, "spec.method.type", 'supported values: "lora", "qlora", "ia3", "full"'),
    ("ftj", "spec.method", {"ia3": {}}, "spec.method.ia3", "only if type is ia3"),
    ("ftj", "spec.method", {"type": "ia3", "lora": {}}, "spec.method.lora", "only if type is lora or qlora"),
    ("ftj", "spec.method", {"type": "ia3", "ia3": {"feedforwardModules": ["fc2"]}}, "ia3.feedforwardModules", "some of targetModules"),
    ("ftj", "spec.method", {"type": "ia3", "ia3": {"targetModules": []}}, "spec.method.ia3.targetModules", "at least 1 items"),
    ("ftj", "spec.method", {"type": "full", "lora": {}}, "spec.method.lora", "only if type is lora or qlora"),
    ("ftj", "spec.method", {"type": "full", "qlora": {}}, "spec.method.qlora", "only if type is qlora"),
    ("ftj", "spec.method", {"type": "qlora", "qlora": {"quantization": "fp4"}}, "qlora.quantization", 'values: "nf4", "int8"'),
    ("ftj", "spec.method", {"objective": "ppo"}, "spec.method.objective", 'supported values: "sft", "dpo", "orpo", "kto"'),
    ("ftj", "spec.method", {"sft": {"focalGamma": 2}}, "spec.method.sft", "for classification only"),
    ("ftj", "spec.method", {"objective": "dpo", "sft": {}}, "spec.method.sft", "only if objective is sft"),
    ("ftj", "spec.method", {"sft": {"focalGamma": 2, "labelSmoothing": 0.1}}, "spec.method.sft.focalGamma", "not both"),
    ("ftj", "spec.method", {"sft": {"focalGamma": 2, "customLoss": CODE}}, "spec.method.sft.customLoss", "remove them"),
    ("ftj", "spec.method", {"objective": "dpo", "sft": {"customLoss": CODE}}, "spec.method.sft", "only if objective is sft"),
    ("ftj", "spec.method", {"sft": {"customLoss": {}}}, "spec.method.sft.customLoss.configMapKeyRef", "Required value"),
    ("ftj", "spec.method", {"sft": {"customLoss": CODE | {"function": "a.b"}}}, "customLoss.function", "name of a Python function"),
    ("ftj", "spec.method", {"orpo": {}}, "spec.method.orpo", "only if objective is orpo"),
    ("ftj", "spec.method", {"kto": {}}, "spec.method.kto", "only if objective is kto"),
    ("ftj", "spec.method", {"objective": "kto", "kto": {"desirableWeight": 0}}, "spec.method.kto.desirableWeight", "greater than 0"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "kl", "maximum": 1}]}, "spec.evaluation.gate", "with objective kto only"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "kl", "betterThanBase": True}]}, "gate[0].betterThanBase", "set maximum"),
    (
        "ftj", "spec.method", {"objective": "dpo", "dpo": {"loss": "ipo", "labelSmoothing": 0.1}}, "spec.method.dpo.labelSmoothing",
        "only if loss is sigmoid",
    ),
    ("ftj", "spec.method", {"dpo": {}}, "spec.method.dpo", "only if objective is dpo"),
    ("ftj", "spec.method", {"objective": "dpo", "dpo": {"beta": 0}}, "spec.method.dpo.beta", "greater than 0"),
    ("ftj", "spec.method", {"objective": "dpo", "dpo": {"loss": "hinge"}}, "spec.method.dpo.loss", 'supported values: "sigmoid", "ipo"'),
    ("ftj", "spec.method", {"objective": "dpo", "lossOn": "all"}, "spec.method.lossOn", "with objective sft only"),
    ("ftj", "spec.method", {"lora": {"rank": 0}}, "spec.method.lora.rank", "greater than or equal to 1"),
    ("ftj", "spec.method", {"lora": {"dropout": 1}}, "spec.method.lora.dropout", "less than 1"),
    ("ftj", "spec.method", {"lora": {"initialization": "pissa", "dora": True}}, "spec.method.lora.dora", "cannot be combined with dora"),
    ("ftj", "spec.method", {"type": "qlora", "lora": {"initialization": "pissa"}}, "lora.initialization", "type lora and objective sft"),
    ("ftj", "spec.method", {"objective": "dpo", "lora": {"initialization": "pissa"}}, "lora.initialization", "and objective sft only"),
    ("ftj", "spec.method", {"lora": {"initialization": "loftq"}}, "lora.initialization", 'values: "default", "pissa"'),
    ("ftj", "spec.method", {"lora": {"targetModules": []}}, "spec.method.lora.targetModules", "at least 1 items"),
    ("ftj", "spec.method", {"lora": {"targetModules": ["all-linear", "q_proj"]}}, "spec.method.lora.targetModules", "list it alone"),
    ("ftj", "spec.hyperparameters", {"learningRate": 0}, "spec.hyperparameters.learningRate", "greater than 0"),
    ("ftj", "spec.hyperparameters", {"learningRate": "fast"}, "spec.hyperparameters.learningRate", "must be of type number"),
    ("ftj", "spec.hyperparameters", {"epochs": 1, "maxSteps": 10}, "spec.hyperparameters", "set epochs or maxSteps, not both"),
    ("ftj", "spec.hyperparameters", {"batchSize": 1.5}, "spec.hyperparameters.batchSize", "must be of type integer"),
    ("ftj", "spec.hyperparameters", {"learningrate": 1}, "spec.hyperparameters.learningrate", "unknown field"),
    ("ftj", "spec.hyperparameters", {"earlyStopping": {"patience": 0}}, "spec.hyperparameters.earlyStopping.patience", "greater than"),
    ("ftj", "spec.hyperparameters", {"scheduler": "step"}, "spec.hyperparameters.scheduler", '"polynomial", "warmup-stable-decay"'),
    ("ftj", "spec.hyperparameters", {"earlyStopping": {}}, "spec.hyperparameters.earlyStopping", "set evaluation.everySteps"),
    ("ftj", "spec.hyperparameters", {"loadBestModelAtEnd": True}, "spec.hyperparameters.loadBestModelAtEnd", "set evaluation.everySteps"),
    (
        "ftj", "spec.hyperparameters", {"gradientCheckpointing": False, "gradientCheckpointingPolicy": "selective"},
        "spec.hyperparameters.gradientCheckpointingPolicy", "is for gradientCheckpointing: true",
    ),
    ("ftj", "spec.hyperparameters", {"precision": "fp8"}, "spec.hyperparameters.precision", '"bf16", "fp16", "tf32", "fp32"'),
    ("ftj", "spec.hyperparameters", {"precision": "fp16"}, "spec.hyperparameters.precision", "set training.gpusPerNode"),
    ("ftj", "spec.hyperparameters", {"precision": "tf32"}, "spec.hyperparameters.precision", "set training.gpusPerNode"),
    ("ftj", "spec.hyperparameters", {"neftuneNoise": 0}, "spec.hyperparameters.neftuneNoise", "greater than 0"),
    ("ftj", "spec.evaluation", {"everySteps": 0}, "spec.evaluation.everySteps", "greater than or equal to 1"),
    ("ftj", "spec.training", {"nodes": 0}, "spec.training.nodes", "greater than or equal to 1"),
    ("ftj", "spec.training", {"nodes": 2}, "spec.workspace.storage.accessMode", "ReadWriteMany"),
    ("ftj", "spec.training", {"gpuMemory": "80Gi"}, "spec.training.gpuMemory", "requires gpusPerNode > 0"),
    ("ftj", "spec.training", {"gpuResourceName": "gpu"}, "spec.training.gpuResourceName", "should match"),
    ("ftj", "spec.training", {"resources": {"requests": {"memory": "16GB"}}}, "resources.requests[memory]", "must be a quantity"),
    ("ftj", "spec.training", {"resources": {"limits": {"cpu": -1}}}, "spec.training.resources.limits[cpu]", "zero or more"),
    ("ftj", "spec.training", {"pod": {"env": [{"name": "A B"}]}}, "spec.training.pod.env[0].name", "should match"),
    ("ftj", "spec.training", {"pod": {"envFrom": [{"prefix": "A_"}]}}, "spec.training.pod.envFrom[0]", "exactly one of secretRef"),
    ("ftj", "spec.training", {"pod": {"tolerations": [{"operator": "Is"}]}}, "pod.tolerations[0].operator", '"Exists", "Equal"'),
    ("ftj", "spec.training", {"pod": {"volumes": []}}, "spec.training.pod.volumes", "unknown field"),
    ("ftj", "spec.publishing", {"gpus": -1}, "spec.publishing.gpus", "greater than or equal to 0"),
    ("ftj", "spec.publishing", {"gpus": 2}, "spec.publishing.gpus", "should be less than or equal to 1"),
    ("ftj", "spec.checkpoints", {"keep": 0}, "spec.checkpoints.keep", "greater than or equal to 1"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "loss"}]}, "spec.evaluation.gate[0]", "set at least one of betterThanBase"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "f1", "minimum": 0.5}]}, "spec.evaluation.gate", "accuracy and f1 for classifiers"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "loss", "maximum": 1, "margin": 1}]}, "gate[0].betterThanBase", "set betterThanBase"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "loss", "maximum": 1, "significant": True}]}, "gate[0].betterThanBase", "set better"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "loss", "betterThanBase": True, "margin": 0}]}, "gate[0].margin", "greater than 0"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "rewardMargin", "minimum": 1}]}, "spec.evaluation.gate", "with objective sft"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "recallAt1", "minimum": 1}]}, "spec.evaluation.gate", "for text-embedding only"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "loss", "minimum": 2, "maximum": 1}]}, "gate[0].minimum", "no value can meet both"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "accuracy", "minimum": 90}]}, "gate[0].minimum", "write 90 % as 0.9"),
    ("ftj", "spec.evaluation", {"gate": [{"metric": "reward_margin", "maximum": 1}]}, "spec.evaluation.gate[0].metric", "should match"),
    ("ftj", "spec.export", {"onnx": {"precisions": ["int4"]}}, "spec.export.onnx.precisions[0]", 'supported values: "fp32"'),
    ("ftj", "spec.output", {"model": "Support-Bot"}, "spec.output.model", "start with a letter"),
    ("ftj", "spec.output", {"storage": {"size": "0Gi"}}, "spec.output.storage.size", "more than zero"),
    ("ftj", "spec.workspace", {"claimName": "c", "storage": {"size": "1Gi"}}, "spec.workspace.claimName", "together with claimName"),
    ("ftj", "spec.workspace", {"storage": {"accessMode": "RWX"}}, "spec.workspace.storage.accessMode", '"ReadWriteMany"'),
    ("ftj", "spec.limits", {"deadline": "1 day"}, "spec.limits.deadline", "as in 1h30m"),
    ("ftj", "spec.limits", {"stallTimeout": "0s"}, "spec.limits.stallTimeout", "more than 0s"),
    ("ftj", "spec.limits", {"maxRestarts": -1}, "spec.limits.maxRestarts", "greater than or equal to 0"),
    ("ftj", "spec.suspend", "yes", "spec.suspend", "must be of type boolean"),
    ("ftm", "metadata.name", LONG, "metadata.name", "at most 40 characters"),
    ("ftm", "spec.type", None, "spec.type", "Required value"),
    ("ftm", "spec.type", "merged", "spec.type", 'supported values: "adapter", "full"'),
    ("ftm", "spec.source", None, "spec.source", "Required value"),
    ("ftm", "spec.source.claim", None, "spec.source.claim", "Required value"),
    ("ftm", "spec.source.claim.path", "../other", "spec.source.claim.path", "must not contain '..'"),
    ("ftm", "spec.base", {}, "spec.base", "exactly one of source and fineTunedModel"),
    ("mdep", "metadata.name", "1-bot", "metadata.name", "start with a letter"),
    ("mdep", "spec.model", None, "spec.model", "Required value"),
    ("mdep", "spec.model.name", "", "spec.model.name", "at least 1 chars"),
    ("mdep", "spec.model", "support-bot", "spec.model", "must be of type object"),
    ("mdep", "spec.engine", "tgi", "spec.engine", 'supported values: "onnx"'),
    ("mdep", "spec.replicas", -1, "spec.replicas", "greater than or equal to 0"),
    ("mdep", "spec.progressDeadline", "5s", "spec.progressDeadline", "at least 10s"),
    ("mdep", "spec.drainTimeout", "1 minute", "spec.drainTimeout", "must be hours, minutes and seconds"),
    ("mdep", "spec.maxContext", 1, "spec.maxContext", "greater than or equal to 16"),
    ("mdep", "spec.auth", {"secretRef": {"name": "no_such"}}, "spec.auth.secretRef.name", "should match"),
]  # fmt: skip


def minimal(kind: str) -> Object:
    """The smallest good manifest of a kind."""
    if kind == "mdep":
        return deployment("default", "support-bot", of_model="support-bot")
    return (job if kind == "ftj" else model)("default", "support-bot")


def changed(obj: Object, path: str, value: Any) -> Object:
    """The object with one field set, or taken away when the value is None."""
    *parents, last = path.split(".")
    place = obj
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return obj


def test_an_encoder_has_no_loss_on_all(api: Api) -> None:
    """lossOn chooses among the tokens of a text that is generated; an encoder's would be ignored."""
    for task in ("sequence-classification", "token-classification", "text-embedding"):
        with pytest.raises(Refused) as refusal:
            api.create(job("default", "support-bot", task=task, method={"lossOn": "all"}), dry_run=True)
        assert "spec.method.lossOn" in refusal.value.message
        assert "for chat, completion and summarization only" in refusal.value.message
        assert api.create(job("default", "support-bot", task=task, method={"type": "full"}), dry_run=True)


def test_strategies_with_fp16(api: Api) -> None:
    """All that scale the loss."""
    for strategy in ("auto", "ddp", "fsdp", "deepspeed", "tensor-parallel"):
        training = {"gpusPerNode": 1, "strategy": {"type": strategy}}
        manifest = job("default", "support-bot", training=training, hyperparameters={"precision": "fp16"})
        if strategy != "deepspeed":
            api.create(manifest, dry_run=True)
            continue
        with pytest.raises(Refused, match="precision fp16 cannot be used with deepspeed"):
            api.create(manifest, dry_run=True)


@pytest.mark.parametrize(
    ("strategy", "gpus", "message"),
    [
        ({"type": "deepspeed", "offload": "optimizer"}, 0, "the training has no GPUs"),
        ({"type": "deepspeed", "offload": "optimizer", "zeroStage": 1}, 1, "needs zeroStage 2 or 3"),
        ({"type": "deepspeed", "offload": "parameters", "zeroStage": 2}, 1, "offload parameters needs zeroStage 3"),
        ({"type": "fsdp", "offload": "optimizer"}, 1, "offload can be set only if type is deepspeed"),
        ({"type": "deepspeed", "offload": "optimizer"}, 1, ""),
        ({"type": "deepspeed", "offload": "parameters", "zeroStage": 3}, 1, ""),
    ],
)
def test_offload(api: Api, strategy: Object, gpus: int, message: str) -> None:
    """From GPUs, of what ZeRO divides."""
    manifest = job("default", "offload", training={"gpusPerNode": gpus, "strategy": strategy})
    if not message:
        api.create(manifest, dry_run=True)
        return
    with pytest.raises(Refused, match=message):
        api.create(manifest, dry_run=True)


def test_noise_is_for_language_models(api: Api) -> None:
    """An encoder would ignore it."""
    noisy = {"neftuneNoise": 5}
    assert api.create(job("default", "support-bot", task="summarization", hyperparameters=noisy), dry_run=True)
    for task in ("sequence-classification", "text-embedding"):
        with pytest.raises(Refused, match="neftuneNoise is for language models"):
            api.create(job("default", "support-bot", task=task, hyperparameters=noisy), dry_run=True)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"task": "text-embedding"}, "trains language models only"),
        ({"task": "sequence-classification"}, "trains language models only"),
        ({"method": {"type": "lora", "lora": {"dora": True}}}, "norms of whole weights"),
        ({"method": {"type": "ia3"}}, "whose factors it cannot divide"),
        ({"hyperparameters": {"optimizer": "lion"}}, "which only adamw allows"),
    ],
)
def test_what_is_not_trained_with_tensor_parallel(api: Api, changes: Object, message: str) -> None:
    """Is trained with ddp."""
    api.create(job("default", "divided", **changes, training={"strategy": {"type": "ddp"}}), dry_run=True)
    with pytest.raises(Refused, match=message):
        api.create(job("default", "divided", **changes, training={"strategy": {"type": "tensor-parallel"}}), dry_run=True)


@pytest.mark.parametrize(
    ("quantization", "strategies", "message"),
    [
        ("nf4", ["auto", "ddp", "fsdp", "deepspeed"], ""),
        ("int8", ["auto", "ddp"], "with int8, use auto or ddp"),
    ],
)
def test_strategies_that_divide_a_quantized_base(api: Api, quantization: str, strategies: list[str], message: str) -> None:
    """Those of nf4 divide it into numbers of 4 bits."""
    method = {"type": "qlora", "qlora": {"quantization": quantization}}
    for strategy in ("auto", "ddp", "fsdp", "deepspeed"):
        manifest = job("default", "quantized", method=method, training={"strategy": {"type": strategy}})
        if strategy in strategies:
            api.create(manifest, dry_run=True)
            continue
        with pytest.raises(Refused, match=message):
            api.create(manifest, dry_run=True)
    with pytest.raises(Refused, match="tensor-parallel cannot divide a quantized base"):
        api.create(job("default", "quantized", method=method, training={"strategy": {"type": "tensor-parallel"}}), dry_run=True)


def test_embeddings_have_no_labels_to_smooth(api: Api) -> None:
    """Nor classes to weigh."""
    for settings in ({"labelSmoothing": 0.1}, {"balancedClasses": True}, {"focalGamma": 2}, {"customLoss": CODE}):
        with pytest.raises(Refused, match=r"spec\.method\.sft"):
            api.create(job("default", "search", task="text-embedding", method={"sft": settings}), dry_run=True)


@pytest.mark.parametrize("manifest", GOOD, ids=lambda manifest: f"{NAMES[manifest['kind']]}-{manifest['metadata']['name']}")
def test_good_manifests_are_taken(api: Api, manifest: Object) -> None:
    """Everything that the reference allows, alone and together, is accepted; so is every example."""
    manifest["metadata"]["namespace"] = "default"
    assert api.create(manifest, dry_run=True)["spec"]


@pytest.mark.parametrize(("kind", "path", "value", "field", "words"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_manifests_are_refused_by_name(api: Api, kind: str, path: str, value: Any, field: str, words: str) -> None:
    """The refusal names the field and says what is wrong with it."""
    with pytest.raises(Refused) as refusal:
        api.create(changed(minimal(kind), path, value), dry_run=True)
    assert field in refusal.value.message
    assert words in refusal.value.message


def test_defaults_are_filled_in(api: Api) -> None:
    """What has a fixed default is shown in the object; what is decided later is left out."""
    spec = api.create(minimal("ftj"), dry_run=True)["spec"]
    assert spec["task"] == "chat"
    assert spec["dataset"]["validation"] == {"split": {"fraction": 0.1, "seed": 42}}
    assert spec["method"] == {"objective": "sft", "type": "lora", "lossOn": "assistant"}
    strategy = {"type": "auto", "offload": "none"}
    assert spec["training"] == {"nodes": 1, "gpusPerNode": 0, "gpuResourceName": "nvidia.com/gpu", "strategy": strategy}
    assert spec["workspace"] == {"storage": {"accessMode": "ReadWriteOnce"}}
    assert spec["limits"] == {
        "startDeadline": "15m", "scheduleTimeout": "24h", "stallTimeout": "30m", "maxRestarts": 3, "autoMicroBatch": True,
    }  # fmt: skip
    assert spec["suspend"] is False
    assert "hyperparameters" not in spec
    assert "export" not in spec


def test_network_policies(control_plane: ControlPlane, namespace: str) -> None:
    """Those of the chart are what the API server takes."""
    values = ("networkPolicies.enabled=true", f"networkPolicies.namespaces={{{namespace}}}")
    done = control_plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=rendered("network-policies", values=values))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("networkpolicy.networking.k8s.io") == 6
