"""A folder of safetensors files with whole tensors; each rank writes some of them and reads what it needs."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


class WholeTensors:
    """The tensors of a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                self._files |= dict.fromkeys(file.keys(), path)

    @property
    def names(self) -> set[str]:
        """Of all tensors."""
        return set(self._files)

    def read(self, name: str) -> Tensor:
        """One tensor, on the CPU."""
        with safe_open(self._files[name], "pt") as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor


def write_share(folder: Path, tensors: Mapping[str, Tensor], rank: int) -> list[Path]:
    """Writes a rank's share, on the CPU; returns its files."""
    if not tensors:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rank-{rank:05d}.safetensors"
    save_file(dict(tensors), path)
    return [path]
