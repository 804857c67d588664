"""An own slot batcher directly on ONNX Runtime, for decoder graphs written by the onnxruntime-genai builder."""
