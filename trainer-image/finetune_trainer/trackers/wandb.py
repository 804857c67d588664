"""A run on Weights & Biases: hyperparameters and lineage as its config, the figures of every step.

The run's id is the same in all attempts, and the server says how far its figures go. In offline mode each attempt writes a folder of its
own, which `wandb sync` joins to one run.

`log` returns before the figures are sent: wandb's own process keeps them on disk and sends them, and `finish` waits for it.
"""

import os
from collections.abc import Sequence
from typing import Any

from finetune_api.resources.tracking import TRACKER_ENV_PREFIX, Wandb
from finetune_api.run_config import RunConfig
from finetune_trainer.failure import invalid
from finetune_trainer.sources.keys import Keys
from finetune_trainer.trackers.address import Address
from finetune_trainer.trackers.tracker import Outcome, Point, TrackedRun

API_KEY, URI = "WANDB_API_KEY", "WANDB_BASE_URL"
ADDRESS = Address("tracking.wandb", URI, f"put the key into {API_KEY}")
QUIET = {
    "WANDB_ERROR_REPORTING": "false",  # no reports to its makers; read when the package is imported
    "WANDB_SILENT": "true",
}
SETTINGS: dict[str, Any] = {
    "console": "off",
    "symlink": False,
    "save_code": False,
    "disable_git": True,
    "x_disable_meta": True,  # host name, program, packages
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "init_timeout": 20,
    "finish_timeout": 25,  # the figures stay on disk
    "finish_timeout_raises": True,
    # a request that a login or a run begins with: the feed tries again, and shows why
    "x_graphql_retry_max": 1,
    "x_graphql_timeout_seconds": 15,
}
EXIT_CODES = {"finished": 0, "stopped": 1, "failed": 1}


class WandbTracker:
    """The entry."""

    name = "wandb"
    package = "wandb"

    def wanted(self, config: RunConfig) -> bool:
        """If the spec has tracking.wandb."""
        return config.tracking.wandb is not None

    def open(self, run: TrackedRun) -> "WandbRun":
        """Starts the run, or continues that of earlier attempts. Offline nothing tells what these have: their figures end at the
        checkpoint, or behind it after a kill."""
        opened, offline = self.started(run)
        return WandbRun(opened, run.resumed_step if offline else max(0, opened.starting_step - 1))

    def report(self, run: TrackedRun, outcome: Outcome) -> None:
        """Scores in the run's summary, the rest in its config."""
        opened, _ = self.started(run)
        opened.summary.update(dict(outcome.figures))
        opened.config.update(dict(outcome.tags), allow_val_change=True)
        opened.finish(exit_code=0)

    def started(self, run: TrackedRun) -> tuple[Any, bool]:
        """The client's run; whether it is offline."""
        settings = run.config.tracking.wandb
        assert settings is not None, "see wanted"
        server = {} if settings.mode == "offline" else server_of(settings, run.config)
        os.environ |= QUIET
        import wandb

        run.workspace.wandb.parent.mkdir(parents=True, exist_ok=True)
        opened = wandb.init(
            id=run.id,
            resume="allow",
            name=run.config.job.name,
            project=settings.project or run.config.job.namespace,
            entity=settings.entity,
            mode=settings.mode,
            dir=run.workspace.wandb.parent,
            config={**run.parameters, **run.tags},
            allow_val_change=True,
            settings=wandb.Settings(**SETTINGS, **server),
        )
        return opened, settings.mode == "offline"


def server_of(settings: Wandb, config: RunConfig) -> dict[str, str]:
    """Address and key. Without a Secret they are those that `wandb login` has left on this machine."""
    keys = Keys(TRACKER_ENV_PREFIX["wandb"])
    uri, key = ADDRESS.checked(settings.uri, keys, config.network), keys.get(API_KEY)
    if key is None and settings.credentials is not None:
        raise invalid("InvalidSource", f"the Secret of {ADDRESS.field}.credentials is missing, or does not have {API_KEY}")
    return {name: value for name, value in {"base_url": uri, "api_key": key}.items() if value is not None}


class WandbRun:
    """The run."""

    def __init__(self, run: Any, last_step: int) -> None:
        self.last_step = last_step
        self._run = run

    def log(self, points: Sequence[Point]) -> None:
        """A row of the history for each step. Late figures are shown at the next step, as W&B takes none for a row that it has."""
        for point in points:
            if point.step > self.last_step:
                self._run.log({**point.figures, "_timestamp": point.time}, step=point.step, commit=True)
                self.last_step = point.step
            else:
                self._run.log(dict(point.figures), step=self.last_step + 1, commit=False)

    def finish(self, state: str) -> None:
        """Waits until everything is sent. A stopped run is one that was preempted: a later attempt continues it."""
        if state == "stopped":
            self._run.mark_preempting()
        self._run.finish(exit_code=EXIT_CODES[state])


WANDB = WandbTracker()
