"""Is the delete guard installed? Its policies belong to the chart; models that are not protected say so."""

import asyncio
import logging
from collections.abc import Callable
from itertools import product

from finetune_operator.client.api import Api
from finetune_operator.client.errors import ApiError, NotFound
from finetune_operator.objects.resources import BINDINGS, POLICIES

LOG = logging.getLogger(__name__)

PERIOD_SECONDS = 180.0
GUARD_POLICIES = (
    "finetune-model-used-by-deployment",
    "finetune-model-used-by-job",
    "finetune-model-used-by-model",
    "finetune-claim-used-by-model",
)


async def guard_installed(api: Api) -> bool:
    """False when a policy or its binding is known to be absent; what may not be read counts as present."""
    for resource, name in product((POLICIES, BINDINGS), GUARD_POLICIES):
        try:
            await api.get(resource.path(None, name))
        except NotFound:
            LOG.warning("the delete guard is incomplete: there is no %s %s", resource.kind, name)
            return False
        except ApiError as error:
            LOG.debug("whether the %s %s exists is not known: %s", resource.kind, name, error)
    return True


async def watch_guard(api: Api, changed: Callable[[bool], None], known: bool) -> None:
    """Looks again every few minutes, for ever."""
    while True:
        await asyncio.sleep(PERIOD_SECONDS)
        found = await guard_installed(api)
        if found != known:
            known = found
            changed(found)
