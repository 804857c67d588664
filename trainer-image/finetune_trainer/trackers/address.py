"""The address of a tracker's server, from the spec or from the Secret. Knows no tracker."""

from dataclasses import dataclass

from finetune_api.run_config import RunNetwork
from finetune_trainer.failure import invalid
from finetune_trainer.sources.keys import Keys
from finetune_trainer.sources.subject import Subject


@dataclass(frozen=True)
class Address:
    """Where it may be written: in the field uri, or under a key of the Secret."""

    field: str
    """Of the tracker: tracking.mlflow."""
    key: str
    instead: str
    """What to do with a user name and password instead of putting them into the address."""

    def checked(self, uri: str | None, keys: Keys, network: RunNetwork) -> str | None:
        """The address; None where neither has one. Raises StageFailure for one that may not be asked: as for sources, one in a spec must
        be public or allowed."""
        from finetune_trainer.sources.guard import Guard, Hops, check_endpoint  # imports aiohttp, which a run without a server does not pay

        if uri is not None:
            Hops("", Guard(network.allowed_private, Subject(uri, f"{self.field}.uri", "InvalidSource"))).check(uri)
            return uri
        if (found := keys.get(self.key)) is None:
            return None
        secret = f"the Secret of {self.field}.credentials"
        if not found.startswith(("http://", "https://")):
            raise invalid("InvalidSource", f"{self.key} in {secret} must be http://HOST or https://HOST")
        if "@" in found.partition("://")[2].partition("/")[0]:
            raise invalid(
                "InvalidSource",
                f"{self.key} in {secret} must not have a user name and password, which errors would show: {self.instead}",
            )
        check_endpoint(found, Subject(self.field, f"{self.field}.credentials", "InvalidSource"))
        return found
