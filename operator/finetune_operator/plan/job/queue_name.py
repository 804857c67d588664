"""Whether spec.queueName has an effect: without Kueue, the label that it sets means nothing and the stage Jobs start at once."""

from finetune_api.resources.finetune_job import FineTuneJobSpec
from finetune_operator.plan.common.conditions import ConditionUpdate

QUEUE_SUPPORTED = "QueueSupported"
"""Condition of jobs with a queueName."""


def queue_condition(spec: FineTuneJobSpec, installed: bool) -> tuple[ConditionUpdate, ...]:
    """Nothing for a job without a queue."""
    if not spec.queue_name:
        return ()
    if installed:
        return (ConditionUpdate(QUEUE_SUPPORTED, True, "KueueInstalled", f"Kueue admits the stage Jobs to queue {spec.queue_name}"),)
    message = (
        f"queueName {spec.queue_name} has no effect, because Kueue is not installed (the API server has no group kueue.x-k8s.io): "
        "stages start at once and no quota applies; install Kueue, or remove queueName while the job is suspended"
    )
    return (ConditionUpdate(QUEUE_SUPPORTED, False, "KueueNotInstalled", message),)
