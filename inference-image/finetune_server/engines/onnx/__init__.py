"""Engines directly on ONNX Runtime: a slot batcher for the onnxruntime-genai builder's decoders, dynamic batches for encoders."""
