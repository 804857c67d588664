"""Copies on the CPU of tensors that all ranks gather, one after another."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Copies:
    """One rank's. A copy that fails (memory runs out) must not keep the rank from the gathers that follow: the others would wait in these.
    So nothing is copied from then on, and the failure is raised at the end."""

    def __init__(self) -> None:
        self._failure: Exception | None = None

    def of(self, tensor: "Tensor") -> "Tensor | None":
        """None since a copy failed."""
        if self._failure is None:
            try:
                return tensor.cpu()
            except Exception as exc:
                self._failure = exc
        return None

    def end(self) -> None:
        """After the last gather: raises the failure, if there was one."""
        if self._failure is not None:
            raise self._failure
