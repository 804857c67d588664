"""`python -m finetune_operator`: runs the operator with the settings of its environment."""

import asyncio
import logging
import os
import sys

from finetune_operator.environment import SettingsError, from_environment
from finetune_operator.plan.deployment.plan_deployment import plan_deployment
from finetune_operator.plan.job.plan_job import plan_job
from finetune_operator.plan.model.plan_model import plan_model
from finetune_operator.process import Plans, run
from finetune_operator.telemetry import logs

PLANS: Plans = {"FineTuneJob": plan_job, "FineTunedModel": plan_model, "ModelDeployment": plan_deployment}


def main() -> int:
    """Exit code 2: the settings are invalid; 1: a failure that a restart may resolve."""
    try:
        settings = from_environment()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logs.configure(settings.log_level)
    try:
        asyncio.run(run(settings, PLANS))
    except BaseException:
        logging.getLogger("finetune_operator").critical("the operator terminates", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # the thread of kopf may still be waiting for a response
