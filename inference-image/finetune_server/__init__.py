"""The inference server: an OpenAI-compatible HTTP layer over engines behind one small interface.

It starts from a model directory (`finetune_api.model_directory`) and holds no Kubernetes credentials. It knows neither
the operator nor the trainer, and it never imports torch or transformers.
"""
