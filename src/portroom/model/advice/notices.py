"""What is still to be sent, to each address, after whatever went wrong before.

There is no queue: the alerts as they are now, and what each address was told, give what
it has to be told. So nothing is told twice over a restart, and nothing piles up while
an address cannot be reached.

Addresses hold passwords: they are known here by their digest alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from portroom.model.advice.alerts import identity
from portroom.model.facts.watched import Alert

FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 600.0


class Sent(msgspec.Struct, frozen=True):
    """The last thing that an address was told of one alert; ``since_s`` is of that boot."""

    boot_id: str
    since_s: float
    tellings: int


Told = Mapping[str, Mapping[str, Sent]]
"""Of each address, by its digest, what it was told, by rule and subject."""


def digest(address: str) -> str:
    """
    Return what an address is called where its passwords may not stand.

    >>> digest("json://localhost/")
    '0d8e2208d9bea791'
    """
    return hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def due(alerts: Sequence[Alert], told: Mapping[str, Sent]) -> tuple[Alert, ...]:
    """
    Return the alerts of which an address has not been told yet.

    Args:
        alerts: Those that are, and those that ended of late.
        told: What the address was told.
    """
    return tuple(one for one in alerts if one.tellings and not _is_told(one, told))


def after(alerts: Sequence[Alert], told: Mapping[str, Sent]) -> dict[str, Sent]:
    """
    Return what an address was told, once it was told of what was due.

    Args:
        alerts: Those that are, and those that ended of late: others are forgotten.
        told: What it was told before.
    """
    return {
        _name(one): told[_name(one)] if _is_told(one, told) else _sent(one)
        for one in alerts
        if one.tellings
    }


def wait_s(failures: int) -> float:
    """
    Return how long to wait after so many failures in a row.

    >>> [wait_s(failures) for failures in (1, 2, 3, 7, 70)]
    [10.0, 20.0, 40.0, 600.0, 600.0]
    """
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 10))


def _is_told(alert: Alert, told: Mapping[str, Sent]) -> bool:
    """Say whether an address knows of an alert as it is."""
    last = told.get(_name(alert))
    if last is None or (last.boot_id, last.since_s) != (alert.since.boot_id, alert.since.uptime_s):
        return False
    return alert.tellings <= last.tellings


def _sent(alert: Alert) -> Sent:
    """Return what is remembered of an alert that was sent."""
    return Sent(alert.since.boot_id, alert.since.uptime_s, alert.tellings)


def _name(alert: Alert) -> str:
    """Return rule and subject as one text."""
    return " ".join(identity(alert))
