"""Fine-tuning methods: what of a model is trained.

adapter.py   puts LoRA adapters on a model
"""
