"""The inspect stage, main.py: verifies a finished model directory. Imports neither torch nor transformers."""
