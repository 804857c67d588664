"""How a training proceeds: the strategy, the hyperparameters, and the states to resume from."""

from typing import Annotated, Literal

from pydantic import Field

from finetune_api.document import Document
from finetune_api.resources.common import Credentials, rule, rules
from finetune_api.resources.source import StoreAddress


class TrainingStrategy(Document):
    """How several processes train one model."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(
            rule("self.type == 'fsdp' || !has(self.sharding)", "sharding can be set only if type is fsdp", fieldPath=".sharding"),
            rule(
                "self.type == 'deepspeed' || !has(self.zeroStage)", "zeroStage can be set only if type is deepspeed", fieldPath=".zeroStage"
            ),
            rule(
                "self.type == 'tensor-parallel' || !has(self.tensorParallelSize)",
                "tensorParallelSize can be set only if type is tensor-parallel",
                fieldPath=".tensorParallelSize",
            ),
            rule(
                "!has(self.offload) || self.offload == 'none' || self.type == 'deepspeed'",
                "offload can be set only if type is deepspeed",
                fieldPath=".offload",
            ),
            rule(
                "!has(self.offload) || self.offload != 'optimizer' || !has(self.zeroStage) || self.zeroStage > 1",
                "offload optimizer needs zeroStage 2 or 3",
                fieldPath=".offload",
            ),
            rule(
                "!has(self.offload) || self.offload != 'parameters' || !has(self.zeroStage) || self.zeroStage == 3",
                "offload parameters needs zeroStage 3",
                fieldPath=".offload",
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
    offload: Literal["none", "optimizer", "parameters"] = "none"
    """offload of deepspeed moves from the GPUs to the host's memory: none, the optimizer state with the fp32 copy of what is trained
    (optimizer; the CPUs compute the updates), or also the weights (parameters; each layer comes to the GPU when it computes). Less GPU
    memory, slower steps. It requires GPUs and zeroStage 2 or 3 (parameters: 3)."""


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


CHECKPOINT_ENV_PREFIX = "FINETUNE_CHECKPOINTS_"
"""Prefix of the environment variables with the credentials of the store for checkpoints."""


class CheckpointStore(Document):
    """An object store with copies of the checkpoints, which a training resumes from if the workspace is lost."""

    model_config = Document.model_config | {
        "json_schema_extra": rules(rule("!self.uri.split('/').exists(p, p == '..')", "uri must not contain '..'", fieldPath=".uri"))
    }
    uri: StoreAddress
    """uri is the prefix below which copies are written, to NAMESPACE/JOB/UID/: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or
    abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX. They are deleted when the model is published."""
    credentials: Credentials | None = None
    """credentials that may list, read, write and delete objects there."""

    @property
    def env_prefix(self) -> str:
        """Prefix of the variables with its credentials; empty without credentials."""
        return CHECKPOINT_ENV_PREFIX if self.credentials else ""


class Checkpoints(Document):
    """Checkpoints in the workspace to resume training from, and whether they are copied and published."""

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
    store: CheckpointStore | None = None
    """store keeps a copy of each of them, so that the training survives the loss of the workspace. They are copied while the training
    goes on; a store that is slow or not available does not affect it."""
