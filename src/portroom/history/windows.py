"""Which part of which boot lies between two moments, and when something in it was.

Rules of this file:

- within a boot time is its uptime, told by the clock as it is now, or as it was when
  that boot was last seen: so no line ever runs backwards, whatever the clock did;
- a boot ends before the next one begins, even if a clock said otherwise.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from portroom.history.upkeep import read_lasted
from portroom.model.facts.sample import Instant


class Window(NamedTuple):
    """
    A part of one boot, both ends included, in milliseconds since the boot.

    ``booted_at`` is in seconds since 1970.
    """

    boot: int
    boot_id: str
    booted_at: float
    begin_ms: int
    end_ms: int

    def at(self, start_ms: int) -> datetime.datetime:
        """Return when something of this boot was."""
        return datetime.datetime.fromtimestamp(self.booted_at + start_ms / 1000, datetime.UTC)


class _Boot(NamedTuple):
    """A boot as the file has it, and when it ended as far as it was seen."""

    number: int
    boot_id: str
    booted_at: float
    lasted_s: float


def windows(
    connection: sqlite3.Connection, now: Instant, since_s: float, until_s: float
) -> list[Window]:
    """
    Return the parts of boots between two moments, the earliest boot first.

    Args:
        connection: Of the file.
        now: The moment from which is counted back.
        since_s: How long ago the first moment was, in seconds.
        until_s: How long ago the last one was.
    """
    now_s = now.at.timestamp()
    found = []
    for boot in _in_order(connection, now):
        uptime_s = now_s - boot.booted_at
        # Ends are included: what is rounded to milliseconds must not fall out.
        begin_ms = int((uptime_s - since_s) * 1000 - 0.5)
        end_ms = int((uptime_s - until_s) * 1000 + 1.5)
        if end_ms >= 0 and begin_ms <= boot.lasted_s * 1000:
            found.append(
                Window(boot.number, boot.boot_id, boot.booted_at, max(0, begin_ms), end_ms)
            )
    return found


def _in_order(connection: sqlite3.Connection, now: Instant) -> Sequence[_Boot]:
    """Return the boots, the earliest first, none ending after the next began."""
    lasted_ms = read_lasted(connection)
    boots = [
        _Boot(number, boot_id, booted_at, lasted_ms.get(number, 0) / 1000)
        for number, boot_id, booted_at in connection.execute(
            "SELECT id, boot_id, booted_at FROM boots ORDER BY id DESC"
        )
    ]
    return list(_apart(boots, now))[::-1]


def _apart(boots: Sequence[_Boot], now: Instant) -> Iterator[_Boot]:
    """Yield boots, the latest first, each moved before the one that came after it."""
    following = float("inf")
    for boot in boots:
        booted_at = boot.booted_at
        if boot.boot_id == now.boot_id:
            booted_at = now.at.timestamp() - now.uptime_s
        booted_at = min(booted_at, following - boot.lasted_s)
        following = booted_at
        yield boot._replace(booted_at=booted_at)
