"""Several optimizers as one: each has its own parameters; state, groups and steps are those of all."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

PART = "part"
"""Key of a group: the place of its optimizer."""


class Parts(Optimizer):
    """A torch optimizer whose groups belong to other optimizers."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self._parts = list(parts)
        groups = [group | {PART: place} for place, part in enumerate(self._parts) for group in part.param_groups]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each part, with the groups (learning rates) and the state as they are here."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for place, part in enumerate(self._parts):
            part.param_groups = [group for group in self.param_groups if group[PART] == place]
            part.state = self.state
            part.step()
        return loss
