"""Prints base against tuned for a FineTunedModel: report.py NAMESPACE NAME."""

import sys

from kubectl import get


def main(namespace: str, name: str) -> None:
    """A small table from status.evaluation, of what the model's task measures."""
    evaluation = get("finetunedmodel", name, namespace)["status"]["evaluation"]
    measured = list(evaluation["tuned"])
    print(f"{evaluation['examples']:>6} validation rows   " + "".join(f"{metric:>16}" for metric in measured))
    for side in ("base", "tuned"):
        scores = evaluation[side]
        print(f"  {side:<20}" + "".join(f"{scores[metric]:>16.3f}" for metric in measured))
    for metric, interval in evaluation.get("intervals", {}).get("difference", {}).items():
        print(f"  {metric}: 95 % interval of the difference {interval['low']:.3f} to {interval['high']:.3f}")
    for condition in evaluation.get("gate", []):
        print(f"  gate: {condition}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
