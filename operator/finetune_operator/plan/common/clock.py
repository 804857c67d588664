"""Times and durations: how a status shows them, and how long a plan waits."""

from datetime import UTC, datetime

POLL = 10.0
"""Seconds between observations of an object that waits for others."""
SETTLING = 10.0
"""Seconds in which the pods of a new Job are created, scheduled and started. What blocks them is reported only if it lasts longer."""
LAG = 10.0
"""Seconds for which the result of a Job that is over waits for the last state of its pods."""
FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 300.0


def backoff(failures: int) -> float:
    """Seconds before the next try after so many failures in a row (at least 1)."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 10))


def rfc3339(at: float) -> str:
    """Seconds since the epoch as "2026-01-31T12:00:00Z"."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str | None) -> float | None:
    """The inverse; None for anything else, since other clients may write to a status."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def length(seconds: float) -> str:
    """For people, in at most two units: "1h12m", "3m20s", "45s"."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours >= 24:
        return f"{hours // 24}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{whole % 60}s" if minutes else f"{whole}s"


def soonest(*waits: float | None) -> float | None:
    """The shortest of the given waits, at least one second; None when none is given."""
    known = [wait for wait in waits if wait is not None]
    return max(1.0, min(known)) if known else None
