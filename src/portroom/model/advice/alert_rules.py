"""What the rules of alerts look at, and when it is bad enough to begin.

Rules of this file:

- a rule is a small pure function from Watched to cases, and a row of ``alert_table``;
- a case says whether it is bad enough to begin; one that is not only lasts, so that
  what swings about a threshold is told once;
- the sure figures decide; what only the doubtful ports make so is a rule of its own;
- what could not be looked at is UNSEEN: no case, and no end of one either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Final, NamedTuple

from portroom.model.advice.findings.words import destination
from portroom.model.advice.wording import be, count
from portroom.model.facts.answers import Key
from portroom.model.facts.config import Alerts
from portroom.model.facts.failure import EXHAUSTION, FailureCounts
from portroom.model.facts.sample import HIGH, MEDIUM
from portroom.model.facts.trial import PendingTrial
from portroom.model.facts.watched import Known, Watched
from portroom.model.laws.watched_keys import MISSED

RECENT_S = 300.0
"""How long after the last failed connect its alert lasts."""

FORECAST_ENDS = 1.5
"""How much farther away than told of an exhaustion has to be before its alert ends."""

HOST = "this host"
"""The subject of what is about no namespace."""

UNSEEN: Final = None
"""Of a rule that could not look."""


class Case(NamedTuple):
    """
    One thing that a rule found: about what, in a sentence, and the figure that decides.

    ``begins`` says whether it is bad enough for a new alert, not only for one to last.
    """

    subject: str
    summary: str
    value: float
    begins: bool = True


Cases = Iterable[Case] | None


def above(threshold: str) -> Callable[[Watched, Known, Alerts], Cases]:
    """Return the rule of one threshold of occupancy, a field of the configuration."""

    def look(_: Watched, known: Known, config: Alerts) -> Cases:
        """Find keys of which so much is surely held."""
        limit = getattr(config, threshold)
        return filter(None, (_over(key, limit, config.clear_ratio) for key in known.sample.keys))

    return look


def _over(key: Key, limit: float, clear: float) -> Case | None:
    """Return the case of a key above a limit, or still near it."""
    ratio = key.occupancy_ratio
    if ratio < limit - clear or not ratio:
        return None
    summary = f"{_held_words(key)} {_free_words(key)}"
    return Case(key_words(key), summary, ratio, begins=ratio >= limit)


def in_doubt(_: Watched, known: Known, config: Alerts) -> Cases:
    """
    Find the key that is over a threshold only if the ports in doubt are held, too.

    One a namespace, as what is in doubt for one key is in doubt for each; and none
    where a key surely is over a threshold, since that is what makes the others doubtful.
    """
    if any(key.occupancy_ratio >= config.warning_ratio for key in known.sample.keys):
        return ()

    def look(key: Key) -> Case | None:
        """Return the case of one key."""
        low, high = key.occupancy_ratio, key.occupancy_ratio_max
        limits = (config.warning_ratio, config.critical_ratio)
        if not any(low < limit <= high + config.clear_ratio for limit in limits):
            return None
        summary = (
            f"In doubt: {_held_words(key)} Of {count(key.doubtful_ports, 'port')} the kernel "
            f"does not tell; with them it would be {key.eligible_ports - key.free_ports:,}."
        )
        begins = any(low < limit <= high for limit in limits)
        return Case("ports in doubt", summary, high, begins=begins)

    found = [case for case in map(look, known.sample.keys) if case]
    return [max(found, key=lambda case: (case.begins, case.value))] if found else ()


def forecast(_: Watched, known: Known, config: Alerts) -> Iterator[Case]:
    """Find keys that will have no port left soon, if things go on."""
    for key, told in zip(known.sample.keys, known.forecasts, strict=False):
        left_s = told.exhausted_in_s
        if left_s is None or left_s > config.forecast_s * FORECAST_ENDS:
            continue
        summary = f"No port may be left in {time_words(left_s)} (confidence {told.confidence}). {_held_words(key)}"
        is_sure = told.confidence in {MEDIUM, HIGH}
        yield Case(key_words(key), summary, left_s, begins=is_sure and left_s <= config.forecast_s)


def failed_connects(watched: Watched, _: Alerts) -> Cases:
    """Find connects and binds that failed just now, for want of a port."""
    counts = watched.failures
    if not isinstance(counts, FailureCounts):
        return UNSEEN
    since = watched.now.at - timedelta(seconds=RECENT_S)
    rows = [row for row in counts.counts if row.cause in EXHAUSTION and row.last_at >= since]
    if not rows:
        return ()
    worst = max(rows, key=lambda row: row.failures)
    failures = sum(row.failures for row in rows)
    to = f" to {worst.remote_address} port {worst.remote_port}" if worst.remote_address else ""
    summary = (
        f"{worst.operation}{to} failed with {worst.error} for want of a local port: "
        f"{count(failures, 'failure')} that last happened within {time_words(RECENT_S)}, "
        f"most of {worst.command or 'a process that ended'}."
    )
    return (Case(HOST, summary, failures),)


def drift(watched: Watched, known: Known, config: Alerts) -> Cases:
    """Find settings that are not what the next boot gives, unless somebody tries one just now."""
    if known.status is None:
        return UNSEEN
    found = known.status.drift if config.drift else ()
    if not found:
        return ()
    first = found[0]
    more = f" And {len(found) - 1} more." if len(found) > 1 else ""
    summary = f"{first.name} is {first.current}, and the next boot gives {first.persisted}.{more}"
    return (Case("settings", summary, len(found), begins=not watched.trials),)


def collision(_: Watched, known: Known, config: Alerts) -> Cases:
    """Find listeners whose port an automatic connect may have taken at their next start."""
    if known.findings is None or "listener_in_range" in known.findings.unchecked:
        return UNSEEN
    found = [one for one in known.findings.findings if one.name == "listener_in_range"]
    if not (found and config.collision):
        return ()
    return (Case("listeners", found[0].evidence, len(found)),)


def trial_pending(watched: Watched, _: Alerts) -> Iterator[Case]:
    """Find changes that wait to be confirmed."""
    for trial in watched.trials:
        if not trial.is_overdue:
            left = f"is taken back in {time_words(trial.left_s)} unless it is confirmed"
            yield Case(_trial_words(trial), f"A change on trial {left}.", trial.left_s)


def trial_overdue(watched: Watched, _: Alerts) -> Iterator[Case]:
    """Find trials that expired and that nobody takes back."""
    for trial in watched.trials:
        if trial.is_overdue:
            summary = "A trial expired and was not taken back: run portroom recover as root."
            yield Case(_trial_words(trial), summary, -trial.left_s)


def change_broken_off(watched: Watched, _: Alerts) -> Iterator[Case]:
    """Find changes that a crash left half done."""
    for one in watched.broken_off:
        summary = "A change was broken off and part of it may stand: run portroom recover as root."
        yield Case(f"change {one.number}", summary, 1)


def history_degraded(watched: Watched, _: Alerts) -> Cases:
    """Say whether what is seen is not remembered."""
    if watched.history.state != "degraded":
        return ()
    return (Case(HOST, f"Samples are not remembered: {watched.history.reason}", 1),)


def sampling_failing(watched: Watched, _: Alerts) -> Cases:
    """Say whether sample after sample cannot be taken."""
    missed = watched.missed_samples
    if not missed:
        return ()
    summary = f"{count(missed, 'sample')} in a row could not be taken: {watched.error}"
    return (Case(HOST, summary, missed, begins=missed >= MISSED),)


def _trial_words(trial: PendingTrial) -> str:
    """Return which trial it is, in the journal of which user."""
    return f"trial {trial.number}" + (f" of uid {trial.uid}" if trial.uid else "")


def key_words(key: Key) -> str:
    """Return how a key is called, and told from all others of its namespace."""
    words = destination(key)
    if key.remote_address is not None:
        words = f"{key.protocol.upper()} {words} from {key.local_address}"
    return f"{words} in VRF {key.vrf}" if key.vrf else words


def _held_words(key: Key) -> str:
    """Return the sentence about the held ports of a key."""
    held = f"{key.held_ports:,} of {count(key.eligible_ports, 'port')}"
    return f"{held} for {key_words(key)} {be(key.held_ports)} held."


def _free_words(key: Key) -> str:
    """Return the sentence about the free ports of a key."""
    if key.exhausted:
        return "None is left."
    sure = " surely" if key.doubtful_ports else ""
    return f"{count(key.free_ports, 'connection')} more{sure} fit."


def time_words(seconds: float) -> str:
    """
    Return a span of time in a sentence, in whole minutes where it is that long.

    >>> [time_words(seconds) for seconds in (0.3, 45, 300, 7300)]
    ['less than a second', '45 s', '5 min', '121 min']
    """
    if seconds < 1:
        return "less than a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{int(seconds // 60)} min"
