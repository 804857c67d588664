"""What turns token ids into token ids or logits. `interface` is all that the HTTP side may import from here.

- `interface`: requests, events and the protocols of engines
- `sampling`: how the next token is chosen from logits
- `batching/`: one thread that computes for many requests at once
- `onnx/`: engines on ONNX Runtime
"""
