"""How much memory one training process takes at most, out of shapes and counts alone.

The formula follows what train does: frozen weights in the run's precision, trained ones in fp32 with AdamW's two moments, bf16 by
autocast, attention by torch's sdpa over packed rows with a mask, logits at the supervised positions only. Bytes a token of each
tensor that the backward pass needs were read off the computation (torch.autograd.graph.saved_tensors_hooks); benchmarks/memory.py
compares the whole with the measured peaks of real trainings on the CPU. What a GPU adds (context, fragmentation) is an estimate
that nobody has measured.
"""

from dataclasses import dataclass
from typing import Literal

from finetune_trainer.methods import Method
from finetune_trainer.prepare.fit.model_shape import ModelShape

FP32 = 4
MOMENTS = 8
"""AdamW's two, in fp32."""
LOGITS = 12
"""Bytes of one logit at the beginning of the backward pass: its log-probability, and two gradients in fp32."""
MIB = 1 << 20


@dataclass(frozen=True)
class DeviceProfile:
    """What the machine adds to the tensors."""

    runtime: int
    """Python, torch and transformers; on a GPU the CUDA context and the libraries' work spaces."""
    fragmentation: tuple[float, float]
    """Memory that the allocator cannot reuse, as a share of the activations: with a frozen base, with a trained one."""
    largest_fragment: int
    """Bytes; larger tensors are returned to the system when they are freed."""
    reuses: bool
    """The allocator keeps what activations leave behind from the optimizer's temporaries."""
    dropout_in_kernel: bool
    """Attention with dropout keeps no probabilities."""


CPU = DeviceProfile(runtime=850 * MIB, fragmentation=(0.6, 0.15), largest_fragment=32 * MIB, reuses=True, dropout_in_kernel=False)
"""Measured: Python 3.11, torch 2.13, transformers 5.23 (800 MiB) and the launcher beside the training process; glibc's allocator, whose
holes are what freed temporaries leave behind."""
GPU = DeviceProfile(runtime=1200 * MIB, fragmentation=(0.1, 0.1), largest_fragment=1 << 62, reuses=False, dropout_in_kernel=True)
"""Not measured: a context of about 500 MiB, cuBLAS and NCCL, and a tenth of the activations lost in torch's caching allocator."""


@dataclass(frozen=True)
class TrainedModel:
    """A model as it is trained."""

    shape: ModelShape
    parameters: int
    stored: int
    """Bytes of its files."""
    method: Method
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


def need(model: TrainedModel, micro: Micro, device: DeviceProfile) -> Need:
    """The peak: at the loss, or when the optimizer steps, or while the model is loaded."""
    frozen = int(model.parameters * model.method.base_bytes(model.precision))
    weights = frozen + (0 if model.method.trains_base else FP32 * model.trained)
    gradients = FP32 * model.trained * (2 if model.processes > 1 else 1)  # DDP has its own copy of them
    optimizer = MOMENTS * model.trained
    kept, holes = activations(model, micro, device), lost(model, micro, device)
    logits = LOGITS * micro.supervised * (micro.classes or model.shape.vocabulary)
    stepping = temporaries(model, device)
    if not device.reuses:  # what activations leave behind serves the optimizer
        stepping = max(0, stepping - kept - holes - logits)
    converted = device.reuses and not model.stored * 2 // 3 < frozen <= model.stored  # on a CPU; else the file's pages serve as weights
    loading = model.stored - gradients - optimizer - kept if converted else 0
    return Need(weights, gradients, optimizer, kept, logits, device.runtime + holes + max(0, stepping - logits, loading - logits))


def activations(model: TrainedModel, micro: Micro, device: DeviceProfile) -> int:
    """What the backward pass needs of the forward pass."""
    shape, stream = model.shape, FP32 if model.method.trains_base else model.bytes
    ends = shape.hidden * (stream + FP32 * (2 if model.method.trains_base else 1))  # the embeddings, and the norm before the head
    layer = in_a_layer(model, micro, device)
    cast = model.method.trains_base and model.precision == "bf16" and not model.checkpointing
    copies = 2 * model.parameters if cast else 0  # autocast's, which the backward pass needs; computed again, they are made again
    layers = shape.hidden * stream * shape.layers + layer if model.checkpointing else layer * shape.layers
    return micro.tokens * (layers + ends) + copies


def in_a_layer(model: TrainedModel, micro: Micro, device: DeviceProfile) -> int:
    """Bytes a token."""
    shape, size, whole, half = model.shape, model.bytes, model.method.trains_base, model.precision == "bf16"
    attention = 4 * shape.query * size + micro.width * size  # queries, keys, values for all heads, what comes out; the mask
    if shape.attention_dropout and not device.dropout_in_kernel:
        attention += shape.heads * micro.width * (2 * size + 1)
    forward = (3 if shape.gated else 1) * shape.intermediate * size
    norms = shape.norms * FP32 * (2 if whole and shape.rms else 1)
    dropped = 2 * shape.hidden if shape.hidden_dropout else 0
    return attention + forward + norms + dropped + into_matrices(model, whole, half) + 2 * size * model.ranks


def into_matrices(model: TrainedModel, whole: bool, half: bool) -> int:
    """The inputs of the matrices whose gradients are wanted: autocast and PEFT copy each, in fp32 they share them."""
    shape = model.shape
    if half:
        return 2 * (shape.inputs - shape.attention_out if whole else model.adapted)
    shared = 2 * shape.hidden + shape.intermediate
    return FP32 * (shared if whole else min(model.adapted, shared))


def lost(model: TrainedModel, micro: Micro, device: DeviceProfile) -> int:
    """The allocator's holes. Those on a CPU come from the temporaries of every layer; of those that are computed again, fewer stay open."""
    widest = micro.tokens * max(model.shape.intermediate, model.shape.hidden) * model.bytes
    if widest >= device.largest_fragment:
        return 0
    if not device.reuses:
        return int(device.fragmentation[model.method.trains_base] * activations(model, micro, device))
    share = device.fragmentation[model.method.trains_base] * (2 / 3 if model.checkpointing else 1)
    return int(share * micro.tokens * model.shape.layers * in_a_layer(model, micro, device))


def temporaries(model: TrainedModel, device: DeviceProfile) -> int:
    """Of the optimizer: two of its largest tensor's size on a CPU, where it goes from tensor to tensor; all at once on a GPU."""
    if not device.reuses:
        return FP32 * model.trained
    return 2 * FP32 * (model.shape.largest if model.method.trains_base else 0)
