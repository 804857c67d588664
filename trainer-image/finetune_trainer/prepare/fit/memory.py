"""How much memory one training process takes at most, out of shapes and counts alone.

The formula follows what train does: frozen weights in the run's precision, trained ones in fp32 with AdamW's two moments, bf16 by
autocast, attention by torch's sdpa over packed rows with a mask, logits at the supervised positions only. Bytes a token of each
tensor that the backward pass needs were read off the computation (torch.autograd.graph.saved_tensors_hooks); benchmarks/memory.py
compares the whole with the measured peaks of real trainings on the CPU. What a GPU adds (context, fragmentation) is an estimate
that nobody has measured.
"""

from dataclasses import dataclass
from typing import Literal

from finetune_trainer.prepare.fit.model_shape import ModelShape

FP32 = 4
MOMENTS = 8
"""AdamW's two, in fp32."""
LOGITS = 12
"""Bytes of one logit at the beginning of the backward pass: its log-probability, and two gradients in fp32."""
MIB = 1 << 20


@dataclass(frozen=True)
class Surroundings:
    """What the machine adds to the tensors."""

    runtime: int
    """Python, torch and transformers; on a GPU the CUDA context and the libraries' work spaces."""
    holes: dict[str, float]
    """Memory that the allocator cannot use again, as a share of the activations: by the kind of training."""
    largest_hole: int
    """Larger tensors are given back to the system when they are freed."""
    keeps: bool
    """The allocator keeps what activations leave behind from the optimizer's temporaries."""
    dropout_in_kernel: bool
    """Attention with dropout keeps no probabilities."""


CPU = Surroundings(runtime=850 * MIB, holes={"lora": 0.6, "full": 0.15}, largest_hole=32 * MIB, keeps=True, dropout_in_kernel=False)
"""Measured: Python 3.11, torch 2.13, transformers 5.23 (800 MiB) and the launcher beside the training process; glibc's allocator, whose
holes are what freed temporaries leave behind."""
GPU = Surroundings(runtime=1200 * MIB, holes={"lora": 0.1, "full": 0.1}, largest_hole=1 << 62, keeps=False, dropout_in_kernel=True)
"""Not measured: a context of about 500 MiB, cuBLAS and NCCL, and a tenth of the activations lost in torch's caching allocator."""


@dataclass(frozen=True)
class TrainedModel:
    """A model as it is trained."""

    shape: ModelShape
    parameters: int
    stored: int
    """Bytes of its files."""
    method: Literal["lora", "full"]
    trained: int
    """Parameters that change."""
    adapted: int
    """Values of a token that go into a layer's adapters, each counted by itself."""
    ranks: int
    """Sum of the ranks of a layer's adapters."""
    precision: Literal["bf16", "fp32"]
    checkpointing: bool
    processes: int = 1

    @property
    def bytes(self) -> int:
        """Of a number that is computed with."""
        return 2 if self.precision == "bf16" else FP32


@dataclass(frozen=True)
class Micro:
    """The heaviest micro-batch."""

    tokens: int
    """With padding."""
    supervised: int
    width: int
    """Positions that a token's attention looks at, 0 where there is no mask."""
    classes: int = 0
    """Of a classifier; 0: the vocabulary."""


@dataclass(frozen=True)
class Need:
    """Bytes at the peak. Their sum is `total`."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    runtime: int
    """With what the allocator cannot use again, and what is needed for a moment when the optimizer steps."""

    @property
    def total(self) -> int:
        """Everything together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.runtime


def need(model: TrainedModel, micro: Micro, around: Surroundings) -> Need:
    """The peak: at the loss, or when the optimizer steps, or while the model is loaded."""
    frozen = model.parameters * (model.bytes if model.method == "lora" else FP32)
    weights = frozen + (FP32 * model.trained if model.method == "lora" else 0)
    gradients = FP32 * model.trained * (2 if model.processes > 1 else 1)  # DDP has its own copy of them
    optimizer = MOMENTS * model.trained
    kept, holes = activations(model, micro, around), lost(model, micro, around)
    logits = LOGITS * micro.supervised * (micro.classes or model.shape.vocabulary)
    stepping = temporaries(model, around)
    if not around.keeps:  # what activations leave behind serves the optimizer
        stepping = max(0, stepping - kept - holes - logits)
    converted = around.keeps and not model.stored * 2 // 3 < frozen <= model.stored  # on a CPU; else the file's pages serve as weights
    loading = model.stored - gradients - optimizer - kept if converted else 0
    return Need(weights, gradients, optimizer, kept, logits, around.runtime + holes + max(0, stepping - logits, loading - logits))


def activations(model: TrainedModel, micro: Micro, around: Surroundings) -> int:
    """What the backward pass needs of the forward pass."""
    shape, stream = model.shape, 2 if model.method == "lora" and model.precision == "bf16" else FP32
    ends = shape.hidden * (stream + FP32 * (1 if model.method == "lora" else 2))  # the embeddings, and the norm before the head
    layer = in_a_layer(model, micro, around)
    cast = model.method == "full" and model.precision == "bf16" and not model.checkpointing
    copies = 2 * model.parameters if cast else 0  # autocast's, which the backward pass needs; computed again, they are made again
    layers = shape.hidden * stream * shape.layers + layer if model.checkpointing else layer * shape.layers
    return micro.tokens * (layers + ends) + copies


def in_a_layer(model: TrainedModel, micro: Micro, around: Surroundings) -> int:
    """Bytes a token."""
    shape, size, lora, half = model.shape, model.bytes, model.method == "lora", model.precision == "bf16"
    attention = 4 * shape.query * size + micro.width * size  # queries, keys, values for all heads, what comes out; the mask
    if shape.attention_dropout and not around.dropout_in_kernel:
        attention += shape.heads * micro.width * (2 * size + 1)
    forward = (3 if shape.gated else 1) * shape.intermediate * size
    norms = shape.norms * FP32 * (1 if lora or not shape.rms else 2)
    dropped = 2 * shape.hidden if shape.hidden_dropout else 0
    return attention + forward + norms + dropped + into_matrices(model, lora, half) + 2 * size * model.ranks


def into_matrices(model: TrainedModel, lora: bool, half: bool) -> int:
    """The inputs of the matrices whose gradients are wanted: autocast and PEFT copy each, in fp32 they share them."""
    shape = model.shape
    if half:
        return 2 * (model.adapted if lora else shape.inputs - shape.attention_out)
    shared = 2 * shape.hidden + shape.intermediate
    return FP32 * (min(model.adapted, shared) if lora else shared)


def lost(model: TrainedModel, micro: Micro, around: Surroundings) -> int:
    """The allocator's holes. Those on a CPU come from the temporaries of every layer; of those that are computed again, fewer stay open."""
    widest = micro.tokens * max(model.shape.intermediate, model.shape.hidden) * model.bytes
    if widest >= around.largest_hole:
        return 0
    if not around.keeps:
        return int(around.holes[model.method] * activations(model, micro, around))
    share = around.holes[model.method] * (2 / 3 if model.checkpointing else 1)
    return int(share * micro.tokens * model.shape.layers * in_a_layer(model, micro, around))


def temporaries(model: TrainedModel, around: Surroundings) -> int:
    """Of the optimizer: two of its largest tensor's size on a CPU, where it goes from tensor to tensor; all at once on a GPU."""
    if not around.keeps:
        return FP32 * model.trained
    return 2 * FP32 * (model.shape.largest if model.method == "full" else 0)
