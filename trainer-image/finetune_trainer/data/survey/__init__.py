"""The pass over a whole file: findings, duplicates, labels, the split."""
