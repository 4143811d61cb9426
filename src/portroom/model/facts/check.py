"""What the monitoring plugin reads, and what it decides."""

from __future__ import annotations

import msgspec

from portroom.model.facts.answers import Answer, Key
from portroom.model.facts.snapshot import NetnsId

OK, WARNING, CRITICAL, UNKNOWN = "OK", "WARNING", "CRITICAL", "UNKNOWN"
STATES = (OK, WARNING, CRITICAL, UNKNOWN)
"""
In the order of their exit statuses, 0 to 3.

Source: Monitoring Plugins Development Guidelines, plugin return codes.
"""


class Limits(msgspec.Struct, frozen=True):
    """From which occupancy on, 0…1, it is a warning, and from which it is critical."""

    warning: float = 0.8
    critical: float = 0.95


class CheckQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is checked.

    Args:
        address: ``ADDRESS[:PORT]`` of the remote; None is every key.
        limits: The thresholds.
    """

    address: str | None = None
    limits: Limits = Limits()


class Checked(Answer, frozen=True, kw_only=True):
    """The keys of one namespace, the tightest first; None where the range is not known."""

    keys: tuple[Key, ...]
    eligible_ports: int | None


class Rate(msgspec.Struct, frozen=True):
    """
    How fast connections came, and in how many seconds none fits any more.

    None is not known. ``reason`` says why, "" where it is known.
    """

    connects_per_s: float | None = None
    exhausted_in_s: float | None = None
    reason: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a monitoring system is told.

    ``key`` is the worst by what is surely held, None where there is none.
    ``doubtful`` is a key that may be over a threshold for all the kernel tells, where
    none surely is. ``unseen`` says what could not be looked at, "" if nothing.
    ``namespaces`` is how many were looked at, ``netns`` the one that is told of.
    """

    state: str
    limits: Limits
    key: Key | None = None
    doubtful: Key | None = None
    netns: NetnsId | None = None
    eligible_ports: int | None = None
    unseen: str = ""
    namespaces: int = 1
    address: str | None = None
    rate: Rate | None = None
