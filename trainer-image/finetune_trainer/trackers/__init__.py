"""Trackers: where the figures of a training are shown. TRACKERS has them by name.

tracker.py      the protocol, and what a tracker is given
tensorboard.py  event files in the workspace
mlflow.py       an MLflow server
wandb.py        Weights & Biases
address.py      the address of a tracker's server, and whether it may be asked
outcome.py      the scores of the model, after the training
feed.py         a queue and a thread for each tracker, which the training never waits for
"""

from finetune_api.registry import Registry
from finetune_trainer.trackers.mlflow import MLFLOW
from finetune_trainer.trackers.tensorboard import TENSORBOARD
from finetune_trainer.trackers.tracker import Outcome, Point, TrackedRun, Tracker, TrackerSession
from finetune_trainer.trackers.wandb import WANDB

__all__ = ["TRACKERS", "Outcome", "Point", "TrackedRun", "Tracker", "TrackerSession"]

TRACKERS: Registry[Tracker] = Registry(
    "tracker",
    "finetune.trackers",
    TENSORBOARD,
    MLFLOW,
    WANDB,
)
