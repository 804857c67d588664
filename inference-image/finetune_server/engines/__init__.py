"""What turns token ids into token ids or logits. The HTTP side knows `interface` and no particular engine.

interface.py       requests, events and the protocols of running engines
open.py            how an engine is opened, the protocol of the entries below
encoder_config.py  config.json of an encoder
sampling.py        how the next token is chosen from logits
batching/          one thread that computes for many requests at once
onnx/              models on ONNX Runtime
"""

from finetune_api.registry import Registry
from finetune_server.engines.onnx.engine import OnnxEngine
from finetune_server.engines.open import EngineType

ENGINES: Registry[EngineType] = Registry(
    "engine",
    "finetune.engines",
    OnnxEngine(),
)
