"""Times and lengths of time as the status shows them."""

from datetime import UTC, datetime


def rfc3339(at: float) -> str:
    """Seconds since the epoch as "2026-01-31T12:00:00Z"."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str | None) -> float | None:
    """The reverse; None for anything else, since a status may hold what others wrote."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def length(seconds: float) -> str:
    """For people, in two units at most: "1h12m", "3m20s", "45s"."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours >= 24:
        return f"{hours // 24}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{whole % 60}s" if minutes else f"{whole}s"


def soonest(*waits: float | None) -> float | None:
    """The shortest of the waits that there are, at least a second."""
    known = [wait for wait in waits if wait is not None]
    return max(1.0, min(known)) if known else None
