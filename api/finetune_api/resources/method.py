"""What of a model is trained, and what is learned from a row: the method with its settings, and the objective."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import ObjectName, Readable, rule, rules

ModuleName = Annotated[str, Field(max_length=128, min_length=1)]
ModuleNames = Annotated[list[ModuleName], Field(max_length=32, min_length=1)]


class Lora(Document):
    """Low-rank adapters (Hu et al. 2021), as in peft.LoraConfig."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.targetModules) || size(self.targetModules) == 1 || !self.targetModules.exists(name, name == 'all-linear')",
                "all-linear selects every linear layer except the head: list it alone, or list names of modules",
                fieldPath=".targetModules",
            ),
            rule("self.initialization == 'default' || !self.dora", "initialization pissa cannot be combined with dora", fieldPath=".dora"),
        )
    }
    rank: Annotated[int, Field(ge=1, le=512)] | None = None
    """rank of the adapter matrices. Defaults to a value based on the number of examples."""
    alpha: Annotated[float, Field(gt=0, le=4096)] | None = None
    """alpha scales the adapters by alpha / rank. Defaults to twice the rank; with rslora, to twice its square root."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0
    """dropout on the input of the adapters."""
    target_modules: ModuleNames = ["all-linear"]
    """targetModules are the names of the modules that get an adapter. ["all-linear"] selects every linear layer except the head."""
    dora: bool = False
    """dora also trains the magnitude of each row of the adapted weights (Liu et al. 2024): closer to full fine-tuning, slower, more
    memory."""
    rslora: bool = False
    """rslora scales the adapters by alpha / sqrt(rank) (Kalajdzievski 2023), so that higher ranks learn as fast as lower ones."""
    initialization: Literal["default", "pissa"] = "default"
    """initialization of the adapters: default (an adapter that changes nothing) or pissa (the principal singular components of each
    weight, Meng et al. 2024: faster convergence; the published adapter has twice the rank)."""


class Qlora(Document):
    """How the frozen base is held in memory while it trains (Dettmers et al. 2023)."""

    quantization: Literal["nf4", "int8"] = "nf4"
    """quantization of the base's linear layers: nf4 (4 bits, with double quantization) or int8 (8 bits, more accurate)."""


class Ia3(Document):
    """Learned factors on what some layers compute (Liu et al. 2022), as in peft.IA3Config."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.feedforwardModules) || (has(self.targetModules) && self.feedforwardModules.all(m, m in self.targetModules))",
                "feedforwardModules must be some of targetModules",
                fieldPath=".feedforwardModules",
            ),
        )
    }
    target_modules: ModuleNames | None = None
    """targetModules are the names of the modules whose outputs get the factors, but for feedforwardModules. Defaults to the modules that
    compute keys and values, and the last one of each feed-forward part."""
    feedforward_modules: Annotated[list[ModuleName], Field(max_length=32)] | None = None
    """feedforwardModules are those of targetModules whose inputs get the factors. Defaults to the last module of each feed-forward part."""


class ConfigMapKey(Document):
    """A key of a ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: Annotated[
        str, Field(min_length=1, max_length=253, pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"), Readable("must be a key of a ConfigMap")
    ]
    """key whose value is the Python code: loss.py."""


class CustomLoss(Document):
    """A loss function in Python that runs in the pods of the training."""

    config_map_key_ref: ConfigMapKey
    """configMapKeyRef is the ConfigMap with the code."""
    function: Annotated[
        str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), Readable("must be the name of a Python function")
    ] = "loss"
    """function is the name of the function. It is called with logits (N, classes or vocabulary) and labels (N), and returns N losses."""


class Sft(Document):
    """The loss of supervised fine-tuning: cross entropy, unless this says otherwise. Validation and evaluation are always plain cross
    entropy."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "!(has(self.balancedClasses) && self.balancedClasses && has(self.classWeights) && size(self.classWeights) > 0)",
                "set balancedClasses or classWeights, not both",
                fieldPath=".balancedClasses",
            ),
            rule(
                "!(has(self.focalGamma) && self.focalGamma > 0.0 && has(self.labelSmoothing) && self.labelSmoothing > 0.0)",
                "set focalGamma or labelSmoothing, not both: one trusts the labels less, the other one more",
                fieldPath=".focalGamma",
            ),
            rule(
                "!has(self.customLoss) || !((has(self.labelSmoothing) && self.labelSmoothing > 0.0) || "
                "(has(self.balancedClasses) && self.balancedClasses) || "
                "(has(self.classWeights) && size(self.classWeights) > 0) || (has(self.focalGamma) && self.focalGamma > 0.0))",
                "customLoss takes the place of the loss that the other settings of sft describe: remove them",
                fieldPath=".customLoss",
            ),
        )
    }
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0
    """labelSmoothing is the share of the probability that is spread over all labels, or all tokens of the vocabulary (Szegedy et al.
    2016): for labels that may be wrong, and for less certain answers. Not available for rows with lists of labels."""
    balanced_classes: bool = False
    """balancedClasses weighs the examples of a label (token-classification: the words of a tag) by all examples / (number of labels x
    examples of this label), so that rare labels count as much as frequent ones. Not available for rows with lists of labels."""
    class_weights: Annotated[dict[str, Annotated[float, Field(gt=0, le=10000)]], Field(max_length=128)] = {}
    """classWeights are the weights of labels (token-classification: tags) in the loss; 1 for a label that is not named. They are scaled to
    1 on average over the training examples, so only their ratios count; for rows with lists of labels they are taken as they are."""
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 0
    """focalGamma multiplies the loss of an example by (1 - p) ^ focalGamma, p being the probability of its label (focal loss, Lin et al.
    2017): what the model knows already counts less. 2 is usual."""
    custom_loss: CustomLoss | None = None
    """customLoss is a loss function of your own, for language models and classifiers. The administrator has to allow it (chart value
    training.allowCustomCode)."""


class Dpo(Document):
    """Direct preference optimization (Rafailov et al. 2023)."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                "self.loss == 'sigmoid' || !has(self.labelSmoothing) || self.labelSmoothing == 0.0",
                "labelSmoothing can be set only if loss is sigmoid; ipo is for noisy pairs already",
                fieldPath=".labelSmoothing",
            )
        )
    }
    beta: Annotated[float, Field(gt=0, le=10)] = 0.1
    """beta is the strength of the tie to the base model: the higher, the closer the tuned model stays to it."""
    loss: Literal["sigmoid", "ipo"] = "sigmoid"
    """loss is sigmoid (the loss of the DPO paper) or ipo (Azar et al. 2023, per token as in TRL), which does not push pairs apart
    any further once their margin is 1 / (2 beta)."""
    label_smoothing: Annotated[float, Field(ge=0, le=0.5)] = 0
    """labelSmoothing is the share of pairs whose answers are probably in the wrong order (conservative DPO, Mitchell 2023)."""


class Orpo(Document):
    """Odds ratio preference optimization (Hong et al. 2024)."""

    beta: Annotated[float, Field(gt=0, le=10)] = 0.1
    """beta is the weight of the odds ratio (lambda in the paper) beside the loss of the preferred answer, which has weight 1."""


class Kto(Document):
    """Kahneman-Tversky optimization (Ethayarajh et al. 2024)."""

    beta: Annotated[float, Field(gt=0, le=10)] = 0.1
    """beta is the strength of the tie to the base model: the higher, the closer the tuned model stays to it."""
    desirable_weight: Annotated[float, Field(gt=0, le=1000)] = 1
    """desirableWeight is the weight of the loss of answers with label true."""
    undesirable_weight: Annotated[float, Field(gt=0, le=1000)] = 1
    """undesirableWeight is the weight of the loss of answers with label false. prepare proposes weights if one kind of answer is much
    rarer than the other one."""


class Method(Document):
    """Fine-tuning method."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("self.type in ['lora', 'qlora'] || !has(self.lora)", "lora can be set only if type is lora or qlora", fieldPath=".lora"),
            rule(
                "!has(self.lora) || self.lora.initialization == 'default' || (self.type == 'lora' && self.objective == 'sft')",
                "initialization pissa is available with type lora and objective sft only: it moves a part of the base into the adapter",
                fieldPath=".lora.initialization",
            ),
            rule("self.type == 'qlora' || !has(self.qlora)", "qlora can be set only if type is qlora", fieldPath=".qlora"),
            rule("self.type == 'ia3' || !has(self.ia3)", "ia3 can be set only if type is ia3", fieldPath=".ia3"),
            rule("self.objective == 'sft' || !has(self.sft)", "sft can be set only if objective is sft", fieldPath=".sft"),
            rule("self.objective == 'dpo' || !has(self.dpo)", "dpo can be set only if objective is dpo", fieldPath=".dpo"),
            rule("self.objective == 'orpo' || !has(self.orpo)", "orpo can be set only if objective is orpo", fieldPath=".orpo"),
            rule("self.objective == 'kto' || !has(self.kto)", "kto can be set only if objective is kto", fieldPath=".kto"),
            rule(
                "!has(self.lossOn) || self.lossOn != 'all' || self.objective == 'sft'",
                "lossOn: all is available with objective sft only; the other objectives judge answers",
                fieldPath=".lossOn",
            ),
        )
    }
    objective: Literal["sft", "dpo", "orpo", "kto"] = "sft"
    """objective is what is learned from a row: sft (the answer), dpo (which of two answers is preferred, compared with the base model),
    orpo (the preferred one of two answers, and that it is preferred) or kto (whether an answer is desirable, compared with the base
    model). It determines the fields of a row; see dataset."""
    sft: Sft | None = None
    """sft configures the loss of the objective sft."""
    dpo: Dpo | None = None
    """dpo configures the objective dpo."""
    orpo: Orpo | None = None
    """orpo configures the objective orpo."""
    kto: Kto | None = None
    """kto configures the objective kto."""
    type: Literal["lora", "qlora", "ia3", "full"] = "lora"
    """type is lora (train adapters and merge them at the end), qlora (the same with a quantized base: about a quarter of its memory, and
    slower), ia3 (far smaller adapters: factors on keys, values and feed-forward parts) or full (train all weights)."""
    lora: Lora | None = None
    """lora configures the adapters of types lora and qlora. By default, rank and alpha depend on the data, without dropout, on all linear
    layers."""
    qlora: Qlora | None = None
    """qlora configures the quantization of the base, nf4 by default. The published model is merged into the unquantized base."""
    ia3: Ia3 | None = None
    """ia3 configures the adapters of type ia3."""
    loss_on: Literal["assistant", "all"] = "assistant"
    """lossOn selects the tokens to learn: those of the assistant (the completion, the summary) or all. all is not available for
    classification."""
