"""Engines on ONNX Runtime, without torch.

- `engine`: the entry of `ENGINES`
- `session`: how a graph is loaded for the CPU
- `decoder`: a decoder graph of the onnxruntime-genai builder and its key-value memory
- `genai_config`: genai_config.json beside that graph
- `encoder`: a classifier graph
"""
