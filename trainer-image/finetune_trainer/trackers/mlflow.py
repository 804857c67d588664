"""A run on an MLflow server: hyperparameters, the figures of every step, and the lineage as tags.

The run is found again by a tag, so neither a lost answer nor a new attempt makes a second one; another tag, which is written with
the figures, says how far they go.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from finetune_api.resources.tracking import TRACKER_ENV_PREFIX, Mlflow
from finetune_api.run_config import RunConfig, RunNetwork
from finetune_trainer.failure import invalid
from finetune_trainer.sources.keys import Keys
from finetune_trainer.trackers.address import Address
from finetune_trainer.trackers.tracker import Outcome, Point, TrackedRun

URI = "MLFLOW_TRACKING_URI"
ADDRESS = Address("tracking.mlflow", URI, "put them into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
CREDENTIALS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the feed tries again, and shows why
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",  # the address was checked
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
RUN, STEP = "finetune.run", "finetune.step"
"""Tags: the training that a run belongs to, and the last step whose figures it has."""
STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
PARAMETERS = 100
"""Of a request, at most; for figures MLflow's limit is 1,000."""


class MlflowTracker:
    """The entry."""

    name = "mlflow"
    package = "mlflow"

    def wanted(self, config: RunConfig) -> bool:
        """If the spec has tracking.mlflow."""
        return config.tracking.mlflow is not None

    def open(self, run: TrackedRun) -> "MlflowRun":
        """Finds the experiment and the run, or makes them."""
        session = self.session(run)
        session.begin(run)
        return session

    def report(self, run: TrackedRun, outcome: Outcome) -> None:
        """Metrics at the last step, and tags. The run is not RUNNING for that, and one that is made for it ends at once."""
        session = self.session(run)
        session.report(outcome)

    def session(self, run: TrackedRun) -> "MlflowRun":
        """The run as it is on the server, where it is made if it does not exist."""
        settings = run.config.tracking.mlflow
        assert settings is not None, "see wanted"
        keys = Keys(TRACKER_ENV_PREFIX["mlflow"])
        uri = checked_uri(settings, keys, run.config.network)
        os.environ |= SETTINGS | {name: value for name in CREDENTIALS if (value := keys.get(name)) is not None}
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        experiment = experiment_of(client, settings.experiment or run.config.job.namespace)
        found = client.search_runs([experiment], f"tags.`{RUN}` = '{run.id}'", max_results=1)
        tags = {RUN: run.id, **run.tags}
        entity = found[0] if found else client.create_run(experiment, tags=tags, run_name=run.config.job.name)
        return MlflowRun(client, entity.info.run_id, int(entity.data.tags.get(STEP, 0)))


def checked_uri(settings: Mlflow, keys: Keys, network: RunNetwork) -> str:
    """The server's address. Raises StageFailure for one that may not be asked, and where there is none or its Secret is missing."""
    uri = ADDRESS.checked(settings.uri, keys, network)
    if uri is None:
        raise invalid("InvalidSource", f"the Secret of {ADDRESS.field}.credentials must have {URI}: http://HOST or https://HOST")
    if settings.credentials is not None and not any(map(keys.get, (URI, *CREDENTIALS))):
        raise invalid("InvalidSource", f"the Secret of {ADDRESS.field}.credentials is missing, or has none of {', '.join(CREDENTIALS)}")
    return uri


def experiment_of(client: Any, name: str) -> str:
    """Id of the experiment, which is made where it does not exist; another job may make it at the same time."""
    from mlflow.exceptions import MlflowException

    if (found := client.get_experiment_by_name(name)) is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            if (found := client.get_experiment_by_name(name)) is None:
                raise
    return str(found.experiment_id)


class MlflowRun:
    """The run."""

    def __init__(self, client: Any, run_id: str, last_step: int) -> None:
        self.last_step = last_step
        self._client = client
        self._id = run_id

    def begin(self, run: TrackedRun) -> None:
        """It runs (again), with these parameters and tags; MLflow takes the same parameters twice, but no other values."""
        from mlflow.entities import Param

        self._client.update_run(self._id, status="RUNNING")
        if not self.last_step:
            parameters = [Param(name, str(value)) for name, value in run.parameters.items()]
            for first in range(0, len(parameters), PARAMETERS):
                self._client.log_batch(self._id, params=parameters[first : first + PARAMETERS], synchronous=True)

    def log(self, points: Sequence[Point]) -> None:
        """The figures in one request; passed again they are the same, as they have the same times."""
        from mlflow.entities import Metric, RunTag

        last = max(self.last_step, points[-1].step)  # it may be a late one
        figures = [
            Metric(name, float(value), int(point.time * 1000), point.step) for point in points for name, value in point.figures.items()
        ]
        self._client.log_batch(self._id, metrics=figures, tags=[RunTag(STEP, str(last))], synchronous=True)
        self.last_step = last

    def report(self, outcome: Outcome) -> None:
        """In one request; MLflow keeps both values of a metric that is passed twice, which are the same."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        figures = [Metric(name, float(value), now, outcome.step) for name, value in outcome.figures.items()]
        tags = [RunTag(name, value) for name, value in outcome.tags.items()]
        self._client.log_batch(self._id, metrics=figures, tags=tags, synchronous=True)
        if self._client.get_run(self._id).info.status == "RUNNING":
            self.finish("finished")  # the server was down at the end of the training

    def finish(self, state: str) -> None:
        """A resumed attempt makes it RUNNING again."""
        self._client.set_terminated(self._id, STATES[state])


MLFLOW = MlflowTracker()
