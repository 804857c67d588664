"""The addresses in a spec, and what each is for. Where their bytes are found is known to who mounts or opens them."""

from dataclasses import dataclass
from typing import Literal

from finetune_api.resources.common import Credentials
from finetune_api.resources.finetune_job import FineTuneJobSpec

Role = Literal["train", "validation", "base", "loss"]
FIELDS: dict[Role, str] = {
    "train": "dataset.train.source",
    "validation": "dataset.validation.source",
    "base": "base.source",
    "loss": "method.sft.customLoss.configMapKeyRef",
}


@dataclass(frozen=True, slots=True)
class Source:
    """One address of the spec."""

    role: Role
    address: str
    credentials: Credentials | None = None

    @property
    def field(self) -> str:
        """Of the spec: dataset.train.source."""
        return FIELDS[self.role]


def spec_sources(spec: FineTuneJobSpec) -> tuple[Source, ...]:
    """Train, validation, base and the code of a loss, as far as they are given."""
    sources = [Source("train", spec.dataset.train.source, spec.dataset.train.credentials)]
    if spec.dataset.validation.source:
        sources.append(Source("validation", spec.dataset.validation.source, spec.dataset.validation.credentials))
    if spec.base.source:
        sources.append(Source("base", spec.base.source, spec.base.credentials))
    if spec.method.sft and (loss := spec.method.sft.custom_loss):
        sources.append(Source("loss", f"configmap://{loss.config_map_key_ref.name}/{loss.config_map_key_ref.key}"))
    return tuple(sources)
