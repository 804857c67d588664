"""The inspect stage: verifies a finished model directory. Imports neither torch nor transformers."""
