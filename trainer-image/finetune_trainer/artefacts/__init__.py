"""What publish writes besides the model card: each form of the model that something can load.

export.py    exports beside the weights: one that fails costs the artifact, never the model
onnx/        the ONNX model
"""
