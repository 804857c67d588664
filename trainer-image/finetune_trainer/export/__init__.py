"""Writes a merged model in formats of other runtimes and proves that they answer as PyTorch does."""
