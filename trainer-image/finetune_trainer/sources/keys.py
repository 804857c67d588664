"""The credentials of one source: a Secret's keys, which the pod has as environment variables with a prefix of the source's own."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """Looks them up by the Secret's key."""

    prefix: str

    def get(self, name: str) -> str | None:
        """The value without white space around it, which a Secret made from a file often has; None when absent or empty."""
        return os.environ.get(self.prefix + name, "").strip() or None
