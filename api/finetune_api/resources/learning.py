"""How the weights of a model change: the method, its hyperparameters, and the states to resume from."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import (
    ObjectName,
    Readable,
    rule,
    rules,
)


class Lora(Document):
    """Low-rank adapters (Hu et al. 2021), as in peft.LoraConfig."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("self.initialization == 'default' || !self.dora", "initialization pissa cannot be combined with dora", fieldPath=".dora"),
        )
    }
    rank: Annotated[int, Field(ge=1, le=512)] | None = None
    """rank of the adapter matrices. Defaults to a value based on the number of examples."""
    alpha: Annotated[float, Field(gt=0, le=4096)] | None = None
    """alpha scales the adapters by alpha / rank. Defaults to twice the rank; with rslora, to twice its square root."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0
    """dropout on the input of the adapters."""
    target_modules: Annotated[list[Annotated[str, Field(max_length=128, min_length=1)]], Field(max_length=32, min_length=1)] = [
        "all-linear"
    ]
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
    type: Literal["lora", "qlora", "full"] = "lora"
    """type is lora (train adapters and merge them at the end), qlora (the same with a quantized base: about a quarter of its memory, and
    slower) or full (train all weights)."""
    lora: Lora | None = None
    """lora configures the adapters of types lora and qlora. By default, rank and alpha depend on the data, without dropout, on all linear
    layers."""
    qlora: Qlora | None = None
    """qlora configures the quantization of the base, nf4 by default. The published model is merged into the unquantized base."""
    loss_on: Literal["assistant", "all"] = "assistant"
    """lossOn selects the tokens to learn: those of the assistant (the completion, the summary) or all. all is not available for
    classification."""


class TrainingStrategy(Document):
    """How several processes train one model."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("self.type == 'fsdp' || !has(self.sharding)", "sharding can be set only if type is fsdp", fieldPath=".sharding"),
            rule("self.type == 'deepspeed' || !has(self.zeroStage)", "zeroStage is a setting of type deepspeed", fieldPath=".zeroStage"),
            rule(
                "self.type == 'tensor-parallel' || !has(self.tensorParallelSize)",
                "tensorParallelSize is a setting of type tensor-parallel",
                fieldPath=".tensorParallelSize",
            ),
        )
    }
    type: Literal["auto", "ddp", "fsdp", "deepspeed", "tensor-parallel"] = "auto"
    """type is ddp (every process holds the whole model; the fastest where it fits), fsdp (every process holds a part of each weight, its
    gradient and its optimizer state), deepspeed (ZeRO, with the stage zeroStage), tensor-parallel (the processes of a node compute each
    layer together, with a part of its weights each; language models with lora or full) or auto (ddp or fsdp, the first that fits into
    memory)."""
    sharding: Literal["full", "grad"] | None = None
    """sharding of fsdp is full (a layer's weights are gathered for the forward pass and again for the backward pass) or grad (they are
    kept in between: more memory, less communication). Defaults to grad if it fits into memory."""
    zero_stage: Literal[1, 2, 3] | None = None
    """zeroStage of deepspeed is 1 (every process holds a part of the optimizer state), 2 (also of the gradients) or 3 (also of the
    weights). Defaults to the first that fits into memory."""
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """tensorParallelSize of tensor-parallel is the number of processes that compute a layer together. It must divide the number of
    processes and the base model's attention heads. Defaults to gpusPerNode, or to nodes if a node has one process."""


Precision = Literal["bf16", "fp16", "tf32", "fp32"]
CheckpointingPolicy = Literal["full", "selective"]
OptimizerName = Literal["adamw", "adamw-8bit", "adafactor", "lion", "muon"]
Scheduler = Literal["linear", "cosine", "constant", "polynomial", "warmup-stable-decay", "inverse-square-root"]


class EarlyStopping(Document):
    """Ends the training when its validation loss no longer improves. The model is then published from the best checkpoint, unless
    loadBestModelAtEnd is false."""

    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    """patience is the number of consecutive validations without improvement after which the training ends."""
    minimum_improvement: Annotated[float, Field(ge=0, le=1000)] = 0
    """minimumImprovement is the amount by which the validation loss must fall below its lowest value to count as an improvement."""


class Hyperparameters(Document):
    """Hyperparameters. prepare chooses values that are not set; status.hyperparameters has each value with its reason."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("!(has(self.epochs) && has(self.maxSteps))", "set epochs or maxSteps, not both"),
            rule(
                "!has(self.gradientCheckpointingPolicy) || !has(self.gradientCheckpointing) || self.gradientCheckpointing",
                "gradientCheckpointingPolicy is for gradientCheckpointing: true, or where prepare may enable it",
                fieldPath=".gradientCheckpointingPolicy",
            ),
            rule(
                "!(has(self.learningRate) && has(self.learningRateMultiplier))",
                "set learningRate or learningRateMultiplier, not both: the multiplier applies to the automatic learning rate",
            ),
        )
    }
    epochs: Annotated[float, Field(gt=0, le=1000)] | None = None
    """epochs is the number of passes over the training rows."""
    max_steps: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """maxSteps is the number of optimizer steps; use it instead of epochs."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """batchSize is the number of examples per optimizer step over all processes (the global batch size)."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Peak learning rate."""
    learning_rate_multiplier: Annotated[float, Field(gt=0, le=100)] | None = None
    """learningRateMultiplier scales the automatic learning rate."""
    optimizer: OptimizerName | None = None
    """optimizer is adamw (the default), adamw-8bit (AdamW with a quarter of the state; Dettmers et al. 2022), adafactor (hardly any state;
    Shazeer and Stern 2018), lion (half the state; Chen et al. 2023) or muon (half the state for matrices; Jordan et al. 2024). Those
    other than adamw need the whole model on every process (strategy ddp)."""
    scheduler: Scheduler | None = None
    """scheduler is the learning rate schedule after the warmup: linear, cosine and polynomial (the square of linear) end at 0; constant
    stays at the peak; warmup-stable-decay stays there until the last fifth of the steps, then falls to 0 linearly; inverse-square-root
    falls with the square root of the step."""
    shuffle: bool | None = None
    """shuffle draws a new order of the training rows for every epoch. Set it to false to train in the order of the file, for a
    curriculum. Defaults to true."""
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    """warmupRatio is the fraction of steps used for warmup."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] | None = None
    """Decoupled weight decay."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1000)] | None = None
    """maxGradNorm is the norm to which gradients are clipped."""
    max_sequence_length: Annotated[int, Field(ge=8, le=1048576)] | None = None
    """maxSequenceLength in tokens. Longer examples are truncated at the end; status.dataset.truncatedExamples counts them."""
    precision: Precision | None = None
    """precision of the computation: bf16, fp16 (for GPUs without bf16, with a scaled loss), tf32 (fp32 with shorter products) or fp32. fp16
    and tf32 need GPUs. Defaults to bf16, or to fp32 on a GPU that is known not to support bf16."""
    gradient_checkpointing: bool | None = None
    """gradientCheckpointing recomputes activations in the backward pass instead of storing them: less memory, about a third slower.
    By default it is enabled only if the training does not fit without it."""
    gradient_checkpointing_policy: CheckpointingPolicy | None = None
    """gradientCheckpointingPolicy is what gradientCheckpointing recomputes: full (whole layers) or selective (what is cheap: the results
    of matrix products and attention are stored; more memory, about a tenth slower than without). Defaults to full."""
    neftune_noise: Annotated[float, Field(gt=0, le=100)] | None = None
    """neftuneNoise adds noise to the embeddings of the input tokens in training (NEFTune, Jain et al. 2023, where it is called alpha: 5 to
    15), which often makes a tuned chat model answer better. Language models only."""
    early_stopping: EarlyStopping | None = None
    """earlyStopping ends the training when its validation loss no longer improves. It requires evaluation.everySteps."""
    load_best_model_at_end: bool | None = None
    """loadBestModelAtEnd publishes the model with the lowest validation loss instead of the last one, and writes a checkpoint whenever a
    validation finds a lower loss. It requires evaluation.everySteps. Defaults to true with earlyStopping, otherwise to false."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """seed for the order of rows, dropout and the initialization of new weights."""


PUBLISHED_CHECKPOINTS = 20
"""At most: a status lists them all, beside the one with the lowest validation loss."""


class Checkpoints(Document):
    """Checkpoints in the workspace to resume training from, and whether they are published."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule(
                f"!has(self.publish) || !self.publish || self.keep <= {PUBLISHED_CHECKPOINTS}",
                f"publish: at most {PUBLISHED_CHECKPOINTS} checkpoints can be published with a model",
                fieldPath=".keep",
            )
        )
    }
    every_steps: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """everySteps is the number of optimizer steps between checkpoints. Defaults to a tenth of the training, at steps that are
    validated if evaluation.everySteps is set."""
    keep: Annotated[int, Field(ge=1, le=100)] = 2
    """keep is the number of most recent checkpoints to keep. The one with the lowest validation loss is kept in addition, if
    evaluation.everySteps is set."""
    publish: bool = False
    """publish makes the kept checkpoints a part of the FineTunedModel, each with the same artifacts and scores as the model itself, so
    that a ModelDeployment can serve them (model.checkpoint). The model volume must have room for all of them."""
