"""Whether Kueue, which suspends and starts the Jobs of a queue, is installed. Jobs with a queueName show it in a condition."""

import logging

from finetune_operator.client.api import Api
from finetune_operator.client.errors import ApiError, NotFound

LOG = logging.getLogger(__name__)

GROUP = "/apis/kueue.x-k8s.io"
"""Discovery, which every account may read."""


async def kueue_installed(api: Api) -> bool:
    """False when the API server does not know Kueue's group; when it cannot say, Kueue is assumed to be there."""
    try:
        await api.get(GROUP)
    except NotFound:
        return False
    except ApiError as error:
        LOG.debug("cannot read %s: %s", GROUP, error)
    return True
