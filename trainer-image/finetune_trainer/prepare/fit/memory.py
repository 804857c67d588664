"""How much memory one training process takes at most, out of shapes and counts alone.

The formula follows what train does: frozen weights in the run's precision, trained ones in fp32 with the optimizer's state, bf16 by
autocast, attention by torch's sdpa over packed rows with a mask, logits at the supervised positions only. Bytes a token of each
tensor that the backward pass needs were read off the computation (torch.autograd.graph.saved_tensors_hooks); benchmarks/memory.py
compares the whole with the measured peaks of real trainings on the CPU.
"""

from dataclasses import dataclass, field

from finetune_api.resources.learning import CheckpointingPolicy, Precision
from finetune_api.run_config import RunStrategy
from finetune_trainer.methods import TrainingMethod
from finetune_trainer.methods.method import BYTES, FP32
from finetune_trainer.optimizers import ADAMW, OptimizerFactory, TrainedParameters
from finetune_trainer.prepare.fit.model_shape import ModelShape
from finetune_trainer.strategies import ModelBytes, StateBytes, Strategy
from finetune_trainer.strategies.ddp import DDP

LOGITS = 12
"""Bytes of one logit at the beginning of the backward pass: its log-probability, and two gradients in fp32."""
MIB = 1 << 20


@dataclass(frozen=True)
class DeviceProfile:
    """What the machine adds to the tensors."""

    runtime: int
    """Python, torch and transformers; on a GPU the CUDA context and the libraries' work spaces."""
    communication: int
    """More where several processes train: NCCL's buffers."""
    fragmentation: tuple[float, float]
    """Memory that the allocator cannot reuse, as a share of the activations: with a frozen base, with a trained one."""
    least_fragmentation: int
    largest_fragment: int
    """Bytes; larger tensors are returned to the system when they are freed."""
    is_cpu: bool
    """glibc's allocator does not give the activations' memory to the optimizer's temporaries; the optimizer is not fused."""
    dropout_in_kernel: bool
    """Attention with dropout keeps no probabilities."""


CPU = DeviceProfile(850 * MIB, 0, (0.6, 0.15), 0, 32 * MIB, is_cpu=True, dropout_in_kernel=False)
"""Measured: Python 3.11, torch 2.13, transformers 5.23 (800 MiB) and the launcher beside the training process; glibc's allocator is
fragmented by freed temporaries."""
GPU = DeviceProfile(1300 * MIB, 1100 * MIB, (0.1, 0.1), 1024 * MIB, 1 << 62, is_cpu=False, dropout_in_kernel=True)
"""Not measured by us: set so that the estimate agrees with published peaks (tests/unit/prepare/test_memory.py)."""


@dataclass(frozen=True)
class TrainedModel:
    """A model as it is trained."""

    shape: ModelShape
    parameters: int
    base: int
    """Bytes of the base's weights in memory."""
    undivided_base: int
    """Of these, bytes that every rank holds where weights are divided."""
    stored: int
    """Bytes of its files."""
    method: TrainingMethod
    trained: TrainedParameters
    adapted: int
    """Values of a token that go into a layer's adapters, each counted by itself."""
    kept: int
    """Values of a token that a layer's adapters keep beside their inputs: twice, before and after a cast."""
    precision: Precision
    checkpointing: bool
    policy: CheckpointingPolicy = "full"
    """Of gradient checkpointing."""
    processes: int = 1
    optimizer: OptimizerFactory = ADAMW
    strategy: Strategy = DDP
    distribution: RunStrategy = field(default_factory=RunStrategy)
    """Settings of the strategy."""
    undivided: float = 0.0
    """Share of the base's parameters that strategy tensor-parallel leaves whole on each rank."""

    @property
    def parallel(self) -> int:
        """Processes that compute a layer together."""
        return self.strategy.model_parallel(self.distribution)

    @property
    def shares(self) -> int:
        """Groups of processes that divide the micro-batches of a step."""
        return self.processes // self.parallel

    @property
    def bytes(self) -> int:
        """Of a number that is computed with."""
        return BYTES[self.precision]


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
    state = state_bytes(model)
    kept, fragments = activations(model, micro, device), lost(model, micro, device)
    logits = LOGITS * micro.supervised * (micro.classes or model.shape.vocabulary)
    converted = device.is_cpu and not model.stored * 2 // 3 < model.base <= model.stored  # else the file's pages serve as weights
    loading = model.stored - state.gradients - state.optimizer - kept if converted else 0
    runtime = device.runtime + (device.communication if model.processes > 1 else 0) + fragments
    brief = max(0, temporaries(model, device) - logits, loading - logits)
    return Need(state.weights, state.gradients, state.optimizer, kept, logits, runtime + brief)


def state_bytes(model: TrainedModel) -> StateBytes:
    """Weights, gradients and optimizer on one rank."""
    weights = model.base + (0 if model.method.trains_base else FP32 * model.trained.total)
    whole = StateBytes(weights, FP32 * model.trained.total, model.optimizer.state_bytes(model.trained))
    layer = (model.parameters - model.shape.outside) // model.shape.stored_layers
    changed = max(layer, model.shape.outside) if model.method.trains_base else model.trained.total // model.shape.stored_layers
    computed = model.base - model.undivided_base if model.method.quantized else model.bytes * model.parameters
    outside = model.bytes * model.shape.outside
    parts = ModelBytes(
        state=whole,
        computed=computed,
        layer=(computed - outside) // model.shape.stored_layers,
        outside=outside,
        layer_gradients=(model.bytes + FP32) * changed,
        undivided_bytes=model.undivided_base,
        undivided=model.undivided,
    )
    return model.strategy.bytes_per_rank(parts, model.processes, model.distribution)


def activations(model: TrainedModel, micro: Micro, device: DeviceProfile) -> int:
    """What the backward pass needs of the forward pass."""
    shape, stream = model.shape, FP32 if model.method.trains_base else model.bytes
    ends = shape.hidden * (stream + FP32 * (2 if model.method.trains_base else 1))  # the embeddings, and the norm before the head
    layer = in_a_layer(model, micro, device)
    cast = model.strategy.autocast and model.method.trains_base and model.bytes < FP32 and not model.checkpointing
    copies = 2 * model.parameters // model.parallel if cast else 0  # autocast's, for the backward pass; computed again, made again
    kept = shape.hidden * stream + (results(model) if model.policy == "selective" else 0)
    layers = kept * shape.layers + layer if model.checkpointing else layer * shape.layers
    return micro.tokens * (layers + ends) + copies


def in_a_layer(model: TrainedModel, micro: Micro, device: DeviceProfile) -> int:
    """Bytes a token."""
    shape, size, whole, half = model.shape, model.bytes, model.method.trains_base, model.bytes < FP32
    together = model.parallel  # each has some of the heads, and a part of the feed-forward part
    attention = 4 * shape.query * size // together + micro.width * size  # queries, keys, values, what comes out; the mask
    if shape.attention_dropout and not device.dropout_in_kernel:
        attention += shape.heads * micro.width * (2 * size + 1) // together
    forward = (3 if shape.gated else 1) * shape.intermediate * size // together
    norms = shape.norms * FP32 * (2 if whole and shape.rms else 1)
    dropped = 2 * shape.hidden if shape.hidden_dropout else 0
    return attention + forward + norms + dropped + into_matrices(model, whole, half) + 2 * size * model.kept


def results(model: TrainedModel) -> int:
    """Bytes a token of what selective checkpointing keeps in a layer: the results of matrix products and attention. Those of adapters are
    small."""
    shape = model.shape
    values = (4 * shape.query + (2 if shape.gated else 1) * shape.intermediate) // model.parallel + 2 * shape.hidden
    return model.bytes * (values + model.kept)


def into_matrices(model: TrainedModel, whole: bool, half: bool) -> int:
    """The inputs of the matrices whose gradients are wanted: autocast and PEFT copy each, in fp32 they share them."""
    shape = model.shape
    if half:
        return 2 * (shape.inputs - shape.attention_out if whole else model.adapted)
    shared = 2 * shape.hidden + shape.intermediate
    return FP32 * (shared if whole else min(model.adapted, shared))


def lost(model: TrainedModel, micro: Micro, device: DeviceProfile) -> int:
    """Fragmentation. On a CPU it comes from the temporaries of every layer; if activations are computed again, less of it remains."""
    widest = micro.tokens * max(model.shape.intermediate, model.shape.hidden) * model.bytes
    if widest >= device.largest_fragment:
        return 0
    share = device.fragmentation[model.method.trains_base]
    if not device.is_cpu:
        return max(device.least_fragmentation, int(share * activations(model, micro, device)))
    share *= 2 / 3 if model.checkpointing else 1
    return int(share * micro.tokens * model.shape.layers * in_a_layer(model, micro, device))


def temporaries(model: TrainedModel, device: DeviceProfile) -> int:
    """Of the optimizer, which goes from tensor to tensor; those of adapters are small."""
    return int(model.optimizer.temporaries(cpu=device.is_cpu) * model.shape.largest) if model.method.trains_base else 0
