"""Is the delete guard installed? Its policies belong to the chart; models that are not protected say so."""

import asyncio
import logging
from collections.abc import Callable

from finetune_operator.api import Api
from finetune_operator.errors import ApiError, NotFound
from finetune_operator.resources import POLICIES

LOG = logging.getLogger(__name__)

PERIOD_SECONDS = 180.0
GUARD_POLICIES = (
    "finetune-model-used-by-deployment",
    "finetune-model-used-by-job",
    "finetune-model-used-by-model",
    "finetune-claim-used-by-model",
)


async def guard_installed(api: Api) -> bool:
    """False when a policy is known to be absent; one that may not be read counts as present."""
    for name in GUARD_POLICIES:
        try:
            await api.get(POLICIES.path(None, name))
        except NotFound:
            LOG.warning("the delete guard is incomplete: there is no ValidatingAdmissionPolicy %s", name)
            return False
        except ApiError as error:
            LOG.debug("whether the policy %s exists is not known: %s", name, error)
    return True


async def watch_guard(api: Api, changed: Callable[[bool], None], known: bool) -> None:
    """Looks again every few minutes, for ever."""
    while True:
        await asyncio.sleep(PERIOD_SECONDS)
        found = await guard_installed(api)
        if found != known:
            known = found
            changed(found)
