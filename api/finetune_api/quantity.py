"""Kubernetes quantities as numbers (apimachinery, "resource.Quantity"): 16Gi, 500m, 2, 1e9."""

from decimal import Decimal, InvalidOperation

_UNITS = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def quantity(text: str | int) -> float | None:
    """The number, None for what is no quantity."""
    written = str(text).strip()
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if written.endswith(unit)), "")
    try:
        return float(Decimal(written.removesuffix(unit)) * _UNITS.get(unit, Decimal(1)))
    except InvalidOperation:
        return None
