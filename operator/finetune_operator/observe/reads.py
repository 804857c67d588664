"""Reads on demand of objects that are not watched: nodes, claims of users, objects with the name of a child.

No method raises: an object that cannot be read is treated as missing, and read again later.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import TypeVar

from finetune_api.run_config import GpuType
from finetune_operator.client.api import Api
from finetune_operator.client.errors import ApiError, NotFound
from finetune_operator.objects.cache import Key
from finetune_operator.objects.parse import gpu_node, meta, parse
from finetune_operator.objects.records import Claim, Meta
from finetune_operator.objects.resources import CLAIMS, NODES, Resource

LOG = logging.getLogger(__name__)
T = TypeVar("T")

OBJECT_SECONDS = 5.0
NODE_SECONDS = 300.0
REMEMBERED = 2048


class Reads:
    """Each read is repeated at most once in a few seconds."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: OrderedDict[Hashable, tuple[float, object]] = OrderedDict()

    async def gpu_nodes(self, resource: str, selector: Mapping[str, str]) -> tuple[GpuType, ...]:
        """GPUs of the first 500 nodes that match the node selector and have labels about their GPUs of that extended resource.

        Empty without permission to read nodes: with watchNamespaces, the operator has Roles only, and nodes are cluster-scoped.
        """
        labels = ",".join([f"{resource}.memory", *(f"{name}={value}" for name, value in sorted(selector.items()))])

        async def read() -> tuple[GpuType, ...]:
            page = await self._api.get(NODES.path(None), {"labelSelector": labels, "limit": "500"})
            return tuple(node for item in page.get("items") or () if (node := gpu_node(item, resource)) is not None)

        return await self._throttled(NODE_SECONDS, ("nodes", labels), read, ())

    async def claim(self, namespace: str, name: str) -> Claim | None:
        """A claim that is not watched; None when it does not exist or cannot be read."""
        return (await self._claim(namespace, name))[0]

    async def claim_absent(self, namespace: str, name: str) -> bool:
        """True only when the API server responded that it does not exist."""
        return (await self._claim(namespace, name))[1]

    async def _claim(self, namespace: str, name: str) -> tuple[Claim | None, bool]:
        async def read() -> tuple[Claim | None, bool]:
            try:
                record = parse(CLAIMS, await self._api.get(CLAIMS.path(namespace, name)))
            except NotFound:
                return None, True
            return (record if isinstance(record, Claim) else None), False

        return await self._throttled(OBJECT_SECONDS, Key(CLAIMS.kind, namespace, name), read, (None, False))

    async def existing(self, resource: Resource, namespace: str, name: str) -> Meta | None:
        """Metadata of an object, whoever owns it."""

        async def read() -> Meta | None:
            return meta(await self._api.get(resource.path(namespace, name)))

        return await self._throttled(OBJECT_SECONDS, ("existing", Key(resource.kind, namespace, name)), read, None)

    async def _throttled(self, seconds: float, key: Hashable, read: Callable[[], Awaitable[T]], nothing: T) -> T:
        known = self._known.get(key)
        if known is not None and self._clock() - known[0] < seconds:
            return known[1]  # type: ignore[return-value]  # what was stored under this key by this method
        try:
            value = await read()
        except NotFound:
            value = nothing
        except ApiError as error:
            LOG.debug("cannot be read: %s", error)
            value = nothing
        except Exception:
            LOG.exception("%s cannot be parsed", key)
            value = nothing
        self._known[key] = (self._clock(), value)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return value
