"""Observing: look at all namespaces, again and again, and say what is known after each time.

Rules of this file:

- ``tick`` does not raise for what the kernel, a namespace or a disk does: that is
  counted and told, and the next tick tries again;
- it is called by one thread at a time; what it returns is never changed later.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from portroom import __version__
from portroom.api.charging import Charging
from portroom.api.sampling import Sampler, saved_known, with_gaps
from portroom.api.source import Live, Saved, System, open_sources
from portroom.api.trials import trials
from portroom.api.watching import Place, Watching, place_of
from portroom.errors import HistoryError, InvalidRequestError, PortroomError
from portroom.history.recorder import FlightRecorder
from portroom.history.state_folder import HISTORY, RECORDED, read_state, write_state
from portroom.history.store import Store
from portroom.kernel.kept_features import read_kept_features
from portroom.kernel.published import COUNTS, read_published
from portroom.kernel.sampling import read_instant
from portroom.kernel.trials import TrialsSeen
from portroom.model.advice import alerts
from portroom.model.facts.config import Config
from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF, FULL, Instant
from portroom.model.facts.snapshot import Features
from portroom.model.facts.watched import FIRING, PENDING, Alert, HistoryState, Known, Mark, Watched

LOOKED_INTO = frozenset({"key_half", "key_tight", "key_critical", "exhaustion_forecast"})
"""Alerts beside which findings shall not be older: what they say of the same key."""

FULL_WITHIN_S = 0.5
"""For so long in each tick namespaces are looked at as a whole; the others in a later one."""

SURVEY_S = 30.0
"""Seconds between two searches for namespaces, which walk all processes."""

TRIALS_S = 5.0
"""Seconds between two readings of /proc/locks, which hold up who locks a file meanwhile."""

COUNTS_WITHIN_S = 1.0
"""Longer nobody waits for the trace service, which looks every half second who asks."""

UNKEPT = "the Snapshots of the last crossing of a threshold were not all kept"

CROSSED = re.compile(r"-(?:above|below)-[0-9]+\.snapshot$")

ALERT_STATE = "alerts.json"
OWNERS_STATE = "owners.msgpack"


class Observer:
    """
    Looks at one namespace or all of them.

    Args:
        config: What is wanted.
        folder: Where state lies.
        saved: A saved Snapshot to tell instead of the kernel: then nothing is
            sampled and nothing remembered.
    """

    def __init__(self, config: Config, folder: str, saved: Saved | None = None) -> None:
        self._config = config
        self._folder = folder
        self._saved = saved
        self._store = None if saved else Store(history_file(config, folder), config.history)
        self._recorder = FlightRecorder(f"{folder}/{RECORDED}", config.recorder)
        self._began = read_instant()
        self._places: dict[Place, Watching] = {}
        self._surveyed_s: float | None = None
        self._omitted = 0
        self._samples = self._skipped = 0
        self._errors: Counter[str] = Counter()
        self._error = ""
        self._unwritten: dict[str, str] = {}
        self._missed = 0
        self._alerts = () if saved else _read_alerts(folder)
        self._charging = Charging(config.owners)
        self._charging.load(_read(folder, OWNERS_STATE) or b"")
        self._kept_s = self._began.uptime_s
        self._trials: TrialsSeen | None = None
        self._trials_s = 0.0
        self._mark("start", f"portroom {__version__} began to watch")

    def tick(self) -> Watched:
        """
        Look at every namespace once, and return all that is known.

        Raises:
            NotSupportedError: There is no proc file system.
        """
        now = read_instant()
        if self._saved is None:
            self._survey(now)
            self._sample_all()
            self._keep_owners(now)
        known = self._known(now)
        seen = self._trials_seen(now)
        watched = Watched(
            version=__version__,
            host=known[0].sample.host if known else "",
            started_at=self._began.at,
            now=now,
            interval_s=self._config.serve.interval_s,
            namespaces=known,
            namespaces_omitted=self._omitted,
            samples_total=self._samples,
            skipped_total=self._skipped,
            errors_total=dict(self._errors),
            missed_samples=self._missed,
            error=self._error,
            history=self._remember(known, now),
            failures=None if self._saved else _failures(),
            trials=seen.trials,
            broken_off=seen.broken_off,
        )
        return self._judged(watched)

    def reload(self, config: Config) -> None:
        """
        Go by another configuration from the next tick on; history stays where it is.

        Args:
            config: Another one.
        """
        history = msgspec.structs.replace(config.history, file=self._config.history.file)
        self._config = msgspec.structs.replace(config, history=history)
        self._recorder.config = config.recorder
        self._surveyed_s = None
        if self._store is not None:
            self._store.kept = history
        self._charging.config = config.owners
        for watching in self._places.values():
            watching.sampler.reload(config)

    def close(self) -> None:
        """End it: what is remembered is written out."""
        if self._saved is None:
            self._write(OWNERS_STATE, self._charging.saved())
        self._mark("stop", f"portroom {__version__} ended")
        if self._store is not None:
            self._store.close()

    def _trials_seen(self, now: Instant) -> TrialsSeen:
        """Return the trials that wait; looked for now and then, since all locks wait for that."""
        if self._saved is not None:
            return TrialsSeen((), (), ())
        if self._trials is None or now.uptime_s - self._trials_s >= TRIALS_S:
            self._trials, self._trials_s = trials(), now.uptime_s
        return self._trials

    def _survey(self, now: Instant) -> None:
        """Look for namespaces that came or went, now and then."""
        wait_s = SURVEY_S if self._config.serve.all_netns else float("inf")
        if self._surveyed_s is not None and now.uptime_s - self._surveyed_s < wait_s:
            return
        found = self._sources()
        most = self._config.serve.most_netns
        self._omitted = max(0, len(found) - most)
        self._surveyed_s = now.uptime_s
        seen = (one.sampler.features for one in self._places.values())
        features = next(filter(None, seen), None) or self._kept_features()
        places = {}
        for source in found[:most]:
            place = place_of(source)
            known = self._places.get(place)
            if known is None:
                sampler = Sampler(source, self._config, self._charging, features)
                known = Watching(sampler, source)
            places[place] = known
            known.move(source)
        self._places = places

    def _kept_features(self) -> Features | None:
        """Return what somebody asked who may; None to ask the kernel oneself."""
        file = self._config.serve.features_file
        try:
            return read_kept_features(file) if file else None
        except (PortroomError, OSError) as error:
            self._failed(error)
            return None

    def _sources(self) -> Sequence[Live]:
        """Return every namespace that is to be sampled; the own one where they cannot be found."""
        try:
            found = open_sources(all_netns=self._config.serve.all_netns)
        except (PortroomError, OSError) as error:
            self._failed(error)
            return [one.source for one in self._places.values()] or [Live()]
        return [one for one in found if isinstance(one, Live)]

    def _sample_all(self) -> None:
        """Take a sample of each namespace; one that cannot be read misses it."""
        began_s = time.monotonic()
        features: Features | None = None
        system = System()
        missed = []
        for place, one in enumerate(self._places.values()):
            # Of hundreds that are due at once each has its turn, and nobody waits for all.
            may_be_full = place == 0 or time.monotonic() - began_s < FULL_WITHIN_S
            one.sampler.learn(features)
            if not self._is_sampled(one, may_be_full=may_be_full, system=system):
                missed.append(one)
            features = features or one.sampler.features
        self._leave_ended()
        self._missed = self._missed + 1 if len(missed) == len(self._places) else 0
        if not missed:
            self._error = ""

    def _leave_ended(self) -> None:
        """Forget namespaces that ended; whether another process holds one is looked for next."""
        there = {place: one for place, one in self._places.items() if not one.has_ended}
        if len(there) < len(self._places):
            self._places, self._surveyed_s = there, None

    def _is_sampled(self, watching: Watching, *, may_be_full: bool, system: System) -> bool:
        """Take one sample, and say whether there is one."""
        try:
            watching.take(may_be_full=may_be_full, system=system)
        except (PortroomError, OSError) as error:
            # That a namespace ends is no failure; that of the daemon, or the host's, has no end.
            watching.has_ended = isinstance(error, InvalidRequestError) and watching.is_of_others
            if not watching.has_ended:
                self._failed(error)
            return watching.has_ended
        assert watching.known is not None
        self._samples += 1
        self._skipped += watching.known.sample.depth == BELOW_HALF
        self._record(watching)
        return True

    def _failed(self, error: Exception) -> None:
        """Count an error, and keep what it says."""
        self._errors[type(error).__name__] += 1
        self._error = str(error)

    def _record(self, watching: Watching) -> None:
        """Keep Snapshots around a crossing of a threshold."""
        assert watching.known is not None
        sample = watching.known.sample
        limits = self._config.alerts
        thresholds = (limits.half_ratio, limits.warning_ratio, limits.critical_ratio)
        ratio = sample.keys[0].occupancy_ratio if sample.keys else 0.0
        taken, watching.sampler.taken = watching.sampler.taken, None
        if not self._config.recorder.enabled:
            return
        whole = None if sample.depth == FULL else watching.sampler.whole
        if taken is None and self._recorder.is_awaiting(sample.netns):
            # Below half nobody asks for sockets, and below half is below every threshold.
            taken, whole = watching.whole_if_read(), None
        if taken is None:
            return
        for file in self._recorder.offer(taken, ratio, thresholds, sample.instant, whole):
            if CROSSED.search(file):
                # Those before and after lie beside it, with the numbers next to its own.
                self._mark("recorded", file)

    def _known(self, now: Instant) -> tuple[Known, ...]:
        """Return what is known of each namespace that was sampled at all."""
        if self._saved is not None:
            return (saved_known(self._saved, self._config, now),)
        known = tuple(one.known for one in self._places.values() if one.known is not None)
        return tuple(with_gaps(one, tuple(self._unkept())) for one in known)

    def _unkept(self) -> Iterator[Gap]:
        """Yield what could not be written down, as long as that is so."""
        if self._config.recorder.enabled and self._recorder.trouble:
            yield Gap("recorder", f"{UNKEPT}: {self._recorder.trouble}")
        for name, reason in self._unwritten.items():
            yield Gap("state", f"{name} was not written, which a restart goes by: {reason}")

    def _remember(self, known: Sequence[Known], now: Instant) -> HistoryState:
        """Write the new samples into the history, and return how that goes."""
        if self._store is None:
            return HistoryState()
        fresh = [
            (one.sample, one.forecasts)
            for one in known
            if one.sample.instant.uptime_s >= now.uptime_s
        ]
        return self._store.add(fresh, now)

    def _judged(self, watched: Watched) -> Watched:
        """Return it with alerts, remembered over a restart."""
        if self._saved is not None:
            return watched
        step = alerts.step(self._alerts, watched, self._config.alerts)
        self._follow(step.alerts)
        if _lasting(step.alerts) != _lasting(self._alerts):
            # Who was told once is not told again after a restart.
            self._write(ALERT_STATE, msgspec.json.encode(step.alerts))
        self._alerts = step.alerts
        return msgspec.structs.replace(watched, alerts=step.alerts, told=step.told)

    def _follow(self, later: Sequence[Alert]) -> None:
        """Remember what began or ended, and look closer at once where something began."""
        before = {(one.name, one.subject): one.state for one in self._alerts}
        for one in later:
            if one.state == PENDING or before.get((one.name, one.subject)) == one.state:
                continue
            self._mark("alert", f"{one.name} {one.state}: {one.subject}")
            for watching in self._places.values():
                begins = one.state == FIRING and one.name in LOOKED_INTO
                if begins and watching.is_called(one.netns):
                    watching.sampler.hurry()

    def _keep_owners(self, now: Instant) -> None:
        """Write down who was seen, now and then: a restart shall not forget it."""
        if now.uptime_s - self._kept_s >= self._config.serve.full_interval_s:
            self._kept_s = now.uptime_s
            self._write(OWNERS_STATE, self._charging.saved())

    def _write(self, name: str, content: bytes) -> None:
        """Write a part of the state down; that it cannot be is counted and told."""
        try:
            write_state(self._folder, name, content)
        except OSError as error:
            self._errors[type(error).__name__] += 1
            self._unwritten[name] = error.strerror or str(error)
        else:
            self._unwritten.pop(name, None)

    def _mark(self, kind: str, text: str) -> None:
        """Remember that something happened."""
        if self._store is not None:
            now = read_instant()
            self._store.mark(Mark(now.at, kind, text), now)


def history_file(config: Config, folder: str) -> str:
    """Return where the history lies."""
    return config.history.file or f"{folder}/{HISTORY}"


def _failures() -> FailureCounts | Gap:
    """Return what the trace service counted, or why that is not known."""
    return read_published(COUNTS, COUNTS_WITHIN_S)


def _lasting(found: Sequence[Alert]) -> list[tuple[str, str, str, int]]:
    """Return what of alerts is written down when it changes."""
    return [
        (one.name, one.subject, one.state, one.tellings) for one in found if one.state != PENDING
    ]


def _read_alerts(folder: str) -> tuple[Alert, ...]:
    """Return the alerts of an earlier run; none where they cannot be read."""
    text = _read(folder, ALERT_STATE)
    try:
        return () if text is None else msgspec.json.decode(text, type=tuple[Alert, ...])
    except msgspec.MsgspecError:
        return ()


def _read(folder: str, name: str) -> bytes | None:
    """Return a part of the state of an earlier run, None where it cannot be read."""
    try:
        return read_state(folder, name)
    except (HistoryError, OSError):
        return None
