"""Times of photos: text in the forms cameras and tables use becomes ISO 8601.

Source: ISO 8601 calendar dates and times, and the EXIF form ``YYYY:MM:DD HH:MM:SS``.

Where we differ: a UTC offset is kept as found and never invented, because most camera clocks
have none. Forms with the year last (03/04/2015) are refused: day and month cannot be told apart.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_time", "seconds_N"]

_FORM = re.compile(
    r"(?P<date>(\d{4})[-:/](\d{1,2})[-:/](\d{1,2}))"
    r"([T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](?P<fraction>\d+))?)?"
    r"\s*(?P<offset>Z|[+-]\d{2}:?\d{2})?)?"
)


def read_time(text: str) -> str | None:
    """Return a time in ISO 8601, or None where it is impossible or unreadable.

    Args:
        text: Year first: ``2015-01-15T06:01:07``, ``2015:01:15 06:01:07+02:00``, ``2015/1/15``.

    Returns:
        ``YYYY-MM-DD`` for a bare date, else ``YYYY-MM-DDTHH:MM:SS`` with the offset as found.

    Example:
        >>> read_time("2015:01:15 06:01:07")
        '2015-01-15T06:01:07'
        >>> read_time("2015-01-15T06:01:70") is None  # no minute has 70 seconds
        True
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[i] or 0) for i in (2, 3, 4, 6, 7, 8))
    fraction = (found["fraction"] or "")[:6].rstrip("0")
    offset = found["offset"] or ""
    if len(offset) == len("+0200"):
        offset = f"{offset[:3]}:{offset[3:]}"
    try:
        moment = datetime(year, month, day, hour, minute, second)
        datetime.fromisoformat(f"2000-01-01T00:00:00{offset}")
    except ValueError:
        return None
    if found[5] is None:
        return moment.date().isoformat()
    return moment.isoformat() + (f".{fraction}" if fraction else "") + offset


def seconds_N(times: Sequence[str | None]) -> NDArray[np.float64]:
    """Return seconds since 1970 for differences between times; nan for none or a bare date.

    A time without an offset is read as UTC, so differences are right within one camera.

    Example:
        >>> seconds_N(["1970-01-01T00:01:00", None, "1970-01-01"]).tolist()
        [60.0, nan, nan]
    """
    return np.array([_seconds(time) for time in times], dtype=np.float64)


def _seconds(time: str | None) -> float:
    if time is None or "T" not in time:
        return np.nan
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
