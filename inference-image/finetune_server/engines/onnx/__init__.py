"""Engines on ONNX Runtime, without torch.

engine.py        the entry of `ENGINES`
session.py       how a graph is loaded for the CPU
decoder.py       a decoder graph of the onnxruntime-genai builder and its key-value memory
genai_config.py  genai_config.json beside that graph
encoder.py       a classifier graph
"""
