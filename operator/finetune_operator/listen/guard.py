"""Whether the admission policies of the delete guard, which belong to the chart, are installed. Models show it in a condition."""

import logging
from itertools import product

from finetune_operator.client.api import Api
from finetune_operator.client.errors import ApiError, NotFound
from finetune_operator.objects.resources import BINDINGS, POLICIES

LOG = logging.getLogger(__name__)

GUARD_POLICIES = (
    "finetune-model-used-by-deployment",
    "finetune-model-used-by-job",
    "finetune-model-used-by-model",
    "finetune-claim-used-by-model",
)


async def guard_installed(api: Api) -> bool:
    """False when a policy or its binding is known to be missing; without permission to read them, they are assumed to be there."""
    for resource, name in product((POLICIES, BINDINGS), GUARD_POLICIES):
        try:
            await api.get(resource.path(None, name))
        except NotFound:
            LOG.warning("the delete guard is incomplete: %s %s does not exist", resource.kind, name)
            return False
        except ApiError as error:
            LOG.debug("cannot read %s %s: %s", resource.kind, name, error)
    return True
