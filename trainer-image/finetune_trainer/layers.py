"""The repeated layers of a model: what is sharded together, and where its matrices are. Imports torch when it is called."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def layers(model: Any) -> "list[nn.Module]":
    """The model's repeated layers: members of the outermost lists of modules."""
    from torch import nn

    found: list[nn.Module] = []
    for child in model.children():
        parts = list(child) if isinstance(child, nn.ModuleList) else []
        found += [part for part in parts if any(True for _ in part.parameters())] or layers(child)
    return found
