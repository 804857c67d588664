"""Prints base against tuned for a FineTunedModel: report.py NAMESPACE NAME."""

import sys

from kubectl import get


def main(namespace: str, name: str) -> None:
    """A small table from status.evaluation."""
    evaluation = get("finetunedmodel", name, namespace)["status"]["evaluation"]
    print(f"{evaluation['examples']} held-out rows    {'loss':>8} {'perplexity':>12}")
    for side in ("base", "tuned"):
        scores = evaluation[side]
        print(f"  {side:<18} {scores['loss']:>8.3f} {scores['perplexity']:>12.2f}")
    for condition in evaluation.get("gate", []):
        print(f"  gate: {condition}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
