"""Entries and places for tests of the journal and of what stands on it."""

from __future__ import annotations

import datetime
from pathlib import Path

from portroom.change.places import Places
from portroom.change.transaction import changing
from portroom.model.facts.change import Request, SettingStep
from portroom.model.facts.journal import SET, Entry, Trial, Who
from portroom.model.facts.snapshot import NetnsId

HERE = NetnsId("host", 7, 4026531840, "host")

RANGE = "net.ipv4.ip_local_port_range"
RESERVED = "net.ipv4.ip_local_reserved_ports"

WIDER = SettingStep(HERE, RANGE, "32768 60999", "15000 64001")

WHO = Who(
    uid=0, user="root", login_uid=None, login_user="", terminal="", pid=7, command=("portroom",)
)

A_TRIAL = Trial(1e9, datetime.datetime(2026, 1, 2, 3, 6, 5, tzinfo=datetime.UTC))


def places_in(folder: Path) -> Places:
    """Return places below a folder, which is the only thing that exists."""
    return Places(f"{folder}/portroom/journal", f"{folder}/run/portroom")


def entry(*steps, **fields) -> Entry:
    """Return an entry as it is before it has a number."""
    known = {
        "number": 0,
        "action": SET,
        "started_at": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "boot_id": "b" * 36,
        "who": WHO,
        "request": Request(("range=15000-64001",)),
        "changes": (),
        "steps": steps or (WIDER,),
    }
    return Entry(**(known | fields))


def carried_out(places: Places, entry: Entry) -> Entry:
    """Make a change that is no trial, with the lock held, and return its entry."""
    with changing(places, entry) as change:
        change.write()
    return change.entry
