"""The photos of a Camtrap DP event: those taken while it lasted, and those that name it.

Source: Camtrap DP 1.0: an event-based observation has a deployment, a start and an end, but no
media. Photos belong to it that its deployment took in that time, ends included; where observations
of photos name the same event in the same deployment, their photos belong to it too.

Times are compared as moments, whatever their offsets; a time without one is read as UTC.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from homerange.data.times import read_time, seconds_N
from homerange.errors import ManifestError

__all__ = ["EventPhotos", "EventSpan", "event_name", "event_span"]

_Cells = Mapping[str, str]


@dataclass(frozen=True)
class EventSpan:
    """From when to when an event lasted."""

    start: str
    end: str

    def describe(self) -> str:
        """Say for people when this was."""
        return f"{self.start} to {self.end}"

    def seconds(self) -> tuple[float, float]:
        """Return both ends in seconds since 1970."""
        start, end = seconds_N([self.start, self.end]).tolist()
        return start, end


class EventPhotos:
    """Media by deployment and time, so that each event finds its own with two look-ups."""

    def __init__(self, media: Mapping[str, _Cells]) -> None:
        """Sort media by their deployment and time.

        Args:
            media: Cells of ``media`` by media id.
        """
        ids = list(media)
        times = [read_time(media[one].get("timestamp", "")) for one in ids]
        seconds = seconds_N(times)
        timed: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for i in np.flatnonzero(~np.isnan(seconds)).tolist():
            timed[media[ids[i]]["deploymentID"]].append((float(seconds[i]), ids[i]))
        self._timed = {name: sorted(photos) for name, photos in timed.items()}
        self._named: dict[str, list[str]] = defaultdict(list)

    def name(self, media_id: str, event: str | None) -> None:
        """Note that an observation of a photo names an event (``event_name``)."""
        if event is not None:
            self._named[event].append(media_id)

    def covered(self, cells: _Cells, span: EventSpan) -> list[str]:
        """Return the media ids of an event, by time; those that only name it come last."""
        photos = self._timed.get(cells.get("deploymentID", ""), [])
        start, end = span.seconds()
        first = bisect_left(photos, start, key=lambda photo: photo[0])
        last = bisect_right(photos, end, key=lambda photo: photo[0])
        within = [media_id for _, media_id in photos[first:last]]
        return list(dict.fromkeys([*within, *self._named.get(event_name(cells) or "", [])]))


def event_name(cells: _Cells) -> str | None:
    """Return the burst that an observation belongs to: its event within its deployment.

    Example:
        >>> event_name({"deploymentID": "d1", "eventID": "7"})
        'd1:7'
    """
    event = cells.get("eventID")
    return f"{cells.get('deploymentID', '')}:{event}" if event else None


def event_span(cells: _Cells) -> EventSpan:
    """Read from when to when an event lasted.

    Raises:
        ManifestError: If start or end is missing or no time.
    """
    found = []
    for name in ("eventStart", "eventEnd"):
        time = read_time(cells.get(name, ""))
        if time is None or "T" not in time:
            raise ManifestError(
                f"the {name} of the event is {cells.get(name, '')!r}; expected a time"
            )
        found.append(time)
    return EventSpan(*found)
