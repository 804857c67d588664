"""Who uses a model: deployments, unfinished jobs that start from it, models derived from it. For people; the guard looks itself."""

from finetune_operator.plan.common.observed import ObservedModel

LISTED = 64
NAMED = 3


def used_by(observed: ObservedModel) -> list[str]:
    """ "ModelDeployment/support-bot", sorted."""
    users = [f"ModelDeployment/{user.meta.name}" for user in observed.deployments]
    users += [f"FineTuneJob/{user.meta.name}" for user in observed.tuning]
    users += [f"FineTunedModel/{user.meta.name}" for user in observed.derived if user.meta.name != observed.model.meta.name]
    return sorted(users)[:LISTED]


def used_by_text(users: list[str]) -> str | None:
    """The first few, for the column."""
    if not users:
        return None
    rest = f" and {len(users) - NAMED} more" if len(users) > NAMED else ""
    return ", ".join(users[:NAMED]) + rest
