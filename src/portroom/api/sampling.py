"""Sampling: read one namespace again and again, cheaply where little is in use.

Rules of this file:

- counters come first; sockets are asked for only if a key may be half full;
- a full sample, with every socket, settings and findings, is made now and then;
- one Snapshot at a time is held, and given up when the next is read.
"""

from __future__ import annotations

import math
import time
from collections import deque

import msgspec

from portroom.api.charging import Charging
from portroom.api.doctor import findings, look_around
from portroom.api.look import status, take_all
from portroom.api.settings import settings
from portroom.api.source import Live, Saved, System
from portroom.kernel.sampling import bound_sockets, read_active_opens, read_instant
from portroom.kernel.snapshot import Wanted, add_groups
from portroom.model.facts.config import Config
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF, FULL, IN_RANGE, Instant, Sample
from portroom.model.facts.scene import Pulse
from portroom.model.facts.snapshot import Counters, Features, Snapshot
from portroom.model.facts.watched import Known
from portroom.model.laws.below_half import can_fill_half
from portroom.model.laws.flow import flows
from portroom.model.laws.forecast import forecasts
from portroom.model.laws.headroom import Keys, KeysWanted, find_keys
from portroom.model.laws.ownership import unread
from portroom.model.laws.range_use import range_use
from portroom.model.laws.sampled import Beside, sample_below_half, sample_of, without_beside

COMPARED_S = 120.0
LEAST_COMPARED, MOST_COMPARED = 12, 60
"""How far back a forecast looks, and by how many samples."""

COMPARED_KEYS = 20
"""Keys of each of them; the tightest are those that may fill."""

QUIET_TIMES = 12
"""Full intervals after which a namespace below half is looked at as a whole again."""


class Sampler:
    """
    Samples one namespace.

    Args:
        source: Which one.
        config: What is wanted.
        charging: Who left the TIME_WAITs; one for all namespaces shares its budget.
        features: What this kernel is known to be able to do; None to find out.
    """

    def __init__(
        self, source: Live, config: Config, charging: Charging, features: Features | None = None
    ) -> None:
        self.taken: Snapshot | None = None
        self.unseen = source.unseen
        """What was not seen while namespaces were looked for; renewed by each such look."""
        self._source = msgspec.structs.replace(source, features=features)
        self._charging = charging
        self._before: deque[Sample] = deque()
        self._known: Known | None = None
        self._full_at_s: float | None = None
        self._pulse: Pulse | None = None
        self._unowned: Gap | None = None
        self.reload(config)

    @property
    def features(self) -> Features | None:
        """Return what this kernel can do, None before it was asked."""
        return self._source.features

    def reload(self, config: Config) -> None:
        """
        Go by another configuration from the next sample on.

        Args:
            config: Another one.
        """
        self.config = config
        compared = math.ceil(COMPARED_S / max(1.0, config.serve.interval_s))
        most = min(max(compared, LEAST_COMPARED), MOST_COMPARED)
        self._before = deque(self._before, maxlen=most)

    def move(self, source: Live) -> None:
        """
        Reach the namespace by another way from now on.

        Args:
            source: The same namespace, with what was not seen while it was looked for.
        """
        self.unseen = source.unseen
        self._source = msgspec.structs.replace(self._source, netns=source.netns)

    def hurry(self) -> None:
        """Look at every socket the next time, with settings and findings."""
        self._full_at_s = None

    def whole(self) -> Snapshot:
        """
        Read all of the namespace, as `portroom snapshot` does.

        Raises:
            PortroomError: It cannot be read.
        """
        return self._source.run(lambda: take_all(self._source.known))

    def learn(self, features: Features | None) -> None:
        """
        Go by what the kernel can do, unless it was asked here.

        Args:
            features: What was found out in another namespace; None if nothing was.
        """
        known = self._source.features or features
        self._source = msgspec.structs.replace(self._source, features=known)

    def sample(self, *, may_be_full: bool = True, system: System | None = None) -> Known:
        """
        Read the namespace once, and return what is known of it now.

        Args:
            may_be_full: Whether every socket may be looked at, if it is due; else the
                next sample does. What the kernel can do has to be known then.
            system: What belongs to the whole system, shared by all that are looked at
                now; None to read it anew.

        Raises:
            PortroomError: It cannot be read.
        """
        self.taken = None
        source = self._source

        def job() -> Known:
            """Read inside the namespace."""
            began_s = time.monotonic()
            now = read_instant()
            is_full = self._is_due(now) and (may_be_full or self.features is None)
            if is_full:
                return self._full(now, began_s, system or System())
            return self._quick(now, began_s)

        known = source.run(job)
        self._known = with_gaps(known, (*self.unseen, *self._uncharged(known.sample)))
        self._before.append(without_beside(self._known.sample, COMPARED_KEYS))
        return self._known

    def _uncharged(self, sample: Sample) -> tuple[Gap, ...]:
        """Return why some TIME_WAITs are charged to nobody, if owners are not missing anyway."""
        gap = self._charging.gap
        is_told = any(one.source == "owners" for one in sample.gaps)
        return (gap,) if gap and sample.charges and not is_told else ()

    def _is_due(self, now: Instant) -> bool:
        """Say whether it is time to look at every socket."""
        if self._full_at_s is None or self._known is None:
            return True
        quiet = self._known.sample.depth == BELOW_HALF
        wait_s = self.config.serve.full_interval_s * (QUIET_TIMES if quiet else 1)
        return now.uptime_s - self._full_at_s >= wait_s

    def _quick(self, now: Instant, began_s: float) -> Known:
        """Return what counters, or sockets on ports of the range, tell."""
        read = self._source.take(Wanted())
        if not self._may_be_half(read):
            beside = Beside(active_opens=read_active_opens())
            return self._later(sample_below_half(read, now, beside, time.monotonic() - began_s))
        read = add_groups(read, Wanted(groups=True, times=True, features=self._source.features))
        # Why owners cannot be looked at stays true between two looks.
        read = msgspec.structs.replace(read, owners=self._unowned or read.owners)
        self.taken = read
        keys = find_keys(read, KeysWanted(limit=self.config.serve.keys))
        beside = self._beside(read, keys, now)
        return self._later(sample_of(read, keys, IN_RANGE, now, beside, time.monotonic() - began_s))

    def _full(self, now: Instant, began_s: float, system: System) -> Known:
        """Return what every socket tells, with settings and findings."""
        source = msgspec.structs.replace(self._source, system=system)
        scene = look_around(source, self._pulse)
        latest = scene.after if self._pulse else scene.before
        self._pulse = latest if isinstance(latest, Pulse) else None
        read = self.taken = scene.read
        self._source = msgspec.structs.replace(self._source, features=read.features)
        self._full_at_s = now.uptime_s
        self._unowned = unread(read.owners)
        keys = find_keys(read, KeysWanted(limit=self.config.serve.keys))
        beside = self._beside(read, keys, now)
        saved = Saved(read)
        sample = sample_of(read, keys, FULL, now, beside, time.monotonic() - began_s)
        return Known(
            sample=sample,
            forecasts=forecasts((*self._before, sample)),
            states=sample.sessions,
            states_at=read.taken_at,
            status=status(saved),
            settings=settings(saved),
            findings=findings(scene),
        )

    def _later(self, sample: Sample) -> Known:
        """Return what is known with a newer sample, the rest as the last full one told."""
        before = self._known or Known(sample=sample)
        return msgspec.structs.replace(
            before, sample=sample, forecasts=forecasts((*self._before, sample))
        )

    def _may_be_half(self, read: Snapshot) -> bool:
        """Say whether some key may be half full; what is not told may be."""
        use, counters = range_use(read.settings), read.counters
        if use is None or not isinstance(counters, Counters) or isinstance(read.settings, Gap):
            return True
        features = self._source.features or Features()
        # The walk for bound sockets is spared where the counters alone decide.
        if can_fill_half(counters, 0, use.eligible_ports):
            return True
        bound = bound_sockets(read.settings.ephemeral, counters, features)
        return bound is None or can_fill_half(bound.after, bound.sockets, use.eligible_ports)

    def _beside(self, read: Snapshot, keys: Keys, now: Instant) -> Beside:
        """Return what is learned beside the keys."""
        is_charged = self.config.owners.enabled
        return Beside(
            flows=flows(read, keys.measured),
            charges=self._charging.charge(read, keys.measured, now) if is_charged else (),
            active_opens=read_active_opens(),
        )


def with_gaps(known: Known, gaps: tuple[Gap, ...]) -> Known:
    """Return what is known with more that was not seen."""
    if not gaps:
        return known
    sample = msgspec.structs.replace(known.sample, gaps=(*known.sample.gaps, *gaps))
    return msgspec.structs.replace(known, sample=sample)


def saved_known(source: Saved, config: Config, now: Instant) -> Known:
    """
    Return what a saved Snapshot tells, as if it had just been sampled in full.

    Args:
        source: The Snapshot.
        config: How many keys are wanted.
        now: When; the sample says when it was taken.
    """
    from portroom.api.doctor import doctor

    read = source.snapshot
    keys = find_keys(read, KeysWanted(limit=config.serve.keys))
    beside = Beside(flows=flows(read, keys.measured))
    sample = sample_of(read, keys, FULL, now, beside, 0.0)
    return Known(
        sample=sample,
        forecasts=forecasts((sample,)),
        states=sample.sessions,
        states_at=read.taken_at,
        status=status(source),
        settings=settings(source),
        findings=doctor(source),
    )
