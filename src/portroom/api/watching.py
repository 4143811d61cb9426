"""One namespace among those that are watched: how it is reached, and what is known of it."""

from __future__ import annotations

from portroom.api.sampling import Sampler
from portroom.api.source import Live, System
from portroom.errors import PortroomError
from portroom.model.facts.snapshot import Snapshot
from portroom.model.facts.watched import Known

Place = int | None
"""What tells a namespace from all others for as long as it is there; None is the caller's own."""


class Watching:
    """One namespace that is watched: its sampler and what is known of it."""

    def __init__(self, sampler: Sampler, source: Live) -> None:
        self.source = source
        self.sampler = sampler
        self.known: Known | None = None
        self.has_ended = False

    def move(self, source: Live) -> None:
        """
        Go to it by another way from now on: the process that led there may have ended.

        Args:
            source: The same namespace, as it was found just now.
        """
        self.source = source
        self.sampler.move(source)

    @property
    def is_of_others(self) -> bool:
        """Say whether it is another namespace than the daemon's own, or the host's."""
        return self.source.known is not None and self.source.known.kind != "host"

    def is_called(self, name: str) -> bool:
        """Say whether it is the namespace of an alert."""
        return self.known is not None and self.known.sample.netns.lasting_name == name

    def whole_if_read(self) -> Snapshot | None:
        """Return all of the namespace, None where it cannot be read now."""
        try:
            return self.sampler.whole()
        except (PortroomError, OSError):
            return None

    def take(self, *, may_be_full: bool, system: System) -> None:
        """
        Take a sample.

        Args:
            may_be_full: Whether there is time for every socket, if it is due.
            system: What belongs to the whole system, shared by all of one tick.

        Raises:
            PortroomError: It cannot be read.
        """
        self.known = self.sampler.sample(may_be_full=may_be_full, system=system)


def place_of(source: Live) -> Place:
    """Return what tells a namespace from all others, whoever is in it."""
    known = source.known
    return None if known is None else known.cookie or -known.inode
