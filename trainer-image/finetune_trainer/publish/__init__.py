"""The publish stage: measures, merges, exports, and writes the model directory."""
