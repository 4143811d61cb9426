"""Completion: what could be typed here. Changes nothing, and never fails."""

from __future__ import annotations

import os

from portroom.errors import PortroomError

MOST = 50
"""Changes that are offered: more than fit on a screen help nobody."""


def netns_names() -> list[str]:
    """Return the names of network namespaces that `ip netns` gave."""
    from portroom.kernel.namespaces import mounted_names

    return mounted_names()


def trial_numbers() -> list[str]:
    """Return the numbers of trials that wait: those of the system, and the caller's own."""
    from portroom.api.trials import pending

    mine = {0, os.geteuid()}
    return [str(one.number) for one in pending() if one.uid in mine]


def change_numbers() -> list[str]:
    """Return the numbers of changes that an undo could take back, the latest first."""
    from portroom.api.change import journal
    from portroom.model.facts.journal import DONE, SET, TRIAL

    try:
        entries = journal(MOST).entries
    except (PortroomError, OSError):
        return []
    return [
        str(one.number)
        for one in entries
        if one.action == SET and one.phase in {DONE, TRIAL} and one.undone_by is None
    ]
