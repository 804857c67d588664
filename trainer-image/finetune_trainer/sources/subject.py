"""What a source is called in a message, and the failures that every scheme has in common."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

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

    def not_found(self, what: str, nearby: Iterable[str] = ()) -> StageFailure:
        """It is not there. `what` goes on after the name; `nearby` are the names in the same folder."""
        names = closest(self.name.rstrip("/").rpartition("/")[2], nearby)
        hint = f"; {self.folder} holds: {', '.join(names)}" if names else ""
        return invalid(self.missing, f"{self.name}: {what}{hint}", param=self.param)

    def denied(self, why: str) -> StageFailure:
        """It may not be read."""
        return invalid("AccessDenied", f"{self.name}: access was denied: {why}", param=self.param)

    def unusable(self, why: str) -> StageFailure:
        """The source answered, and no new attempt will change the answer."""
        return invalid("InvalidSource", f"{self.name}: {why}", param=self.param)

    def unavailable(self, why: str) -> StageFailure:
        """The source did not answer: a later attempt may succeed."""
        return StageFailure(ExitCode.SOURCE_UNAVAILABLE, "SourceUnavailable", f"{self.name} cannot be reached: {why}", param=self.param)

    @property
    def folder(self) -> str:
        """What holds the source: "the claim", "the bucket", or its folder by name when it lies deeper."""
        scheme, separator, rest = self.name.partition("://")
        if not separator or rest.rstrip("/").count("/") > 1 or scheme not in _HOLDERS:
            above, slash, _ = self.name.rstrip("/").rpartition("/")
            return f"the folder {above or slash or '.'}"
        return _HOLDERS[scheme]


def closest(name: str, candidates: Iterable[str]) -> list[str]:
    """Up to NEARBY of the candidates, the most similar to `name` first."""
    return difflib.get_close_matches(name, sorted(set(candidates))[:1000], n=NEARBY, cutoff=0.0)
