"""The addresses in a spec, and what each is for. Where their bytes are found is known to who mounts or opens them."""

from dataclasses import dataclass
from typing import Literal

from finetune_api.resources.common import Credentials
from finetune_api.resources.finetune_job import FineTuneJobSpec

Role = Literal["train", "validation", "base"]


@dataclass(frozen=True, slots=True)
class Source:
    """One address of the spec."""

    role: Role
    address: str
    credentials: Credentials | None = None

    @property
    def field(self) -> str:
        """Of the spec: dataset.train.source."""
        return f"{self.role}.source" if self.role == "base" else f"dataset.{self.role}.source"


def spec_sources(spec: FineTuneJobSpec) -> tuple[Source, ...]:
    """Train, validation and base, as far as they are given."""
    sources = [Source("train", spec.dataset.train.source, spec.dataset.train.credentials)]
    if spec.dataset.validation.source:
        sources.append(Source("validation", spec.dataset.validation.source, spec.dataset.validation.credentials))
    if spec.base.source:
        sources.append(Source("base", spec.base.source, spec.base.credentials))
    return tuple(sources)
