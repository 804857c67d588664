"""What a source is called in a message, and the failures that every scheme has in common."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from finetune_api.exit_codes import ExitCode
from finetune_trainer.failure import StageFailure, invalid

NEARBY = 5
"""How many neighbours a message about a missing name lists."""

_HOLDERS = {"pvc": "the claim", "configmap": "the config map", "s3": "the bucket", "gs": "the bucket", "abfs": "the container"}


@dataclass(frozen=True)
class Subject:
    """A source as its user knows it."""

    name: str
    """As written in the spec: pvc://data/train.jsonl."""
    param: str
    """The spec field that names it: dataset.train.source."""
    missing: str
    """The error code when it is not there: DataNotFound or BaseModelNotFound."""
    access: Literal["read", "write"] = "read"
    """What is done with it."""

    def not_found(self, what: str, nearby: Iterable[str] = (), up: int = 0) -> StageFailure:
        """It is not there. `what` goes on after the name; `nearby` are the names in its folder, or `up` levels above that."""
        name = self.name.rstrip("/").rsplit("/", up)[0]
        names = closest(name.rpartition("/")[2], nearby)
        hint = f"; {holder(name)} holds: {', '.join(names)}" if names else ""
        return invalid(self.missing, f"{self.name}: {what}{hint}", param=self.param)

    def denied(self, why: str) -> StageFailure:
        """It may not be read, or written."""
        return invalid("AccessDenied", f"{self.name}: access was denied: {why}", param=self.param)

    def unusable(self, why: str) -> StageFailure:
        """The source answered, and no new attempt will change the answer."""
        return invalid("InvalidSource", f"{self.name}: {why}", param=self.param)

    def unavailable(self, why: str) -> StageFailure:
        """The source did not answer: a later attempt may succeed."""
        says = f"{self.name} cannot be reached: {why}; check the address, and that pods may connect to it (NetworkPolicy, firewall)"
        return StageFailure(ExitCode.SOURCE_UNAVAILABLE, "SourceUnavailable", says, param=self.param)


def holder(name: str) -> str:
    """What holds a thing of this name: "the claim", "the bucket", or its folder by name when it lies deeper."""
    scheme, separator, rest = name.partition("://")
    if not separator or rest.count("/") > 1 or scheme not in _HOLDERS:
        above, slash, _ = name.rpartition("/")
        return f"the folder {above or slash or '.'}"
    return _HOLDERS[scheme]


def closest(name: str, candidates: Iterable[str]) -> list[str]:
    """Up to NEARBY of the candidates, the most similar to `name` first."""
    return difflib.get_close_matches(name, sorted(set(candidates))[:1000], n=NEARBY, cutoff=0.0)
