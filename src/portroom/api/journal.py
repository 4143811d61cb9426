"""Journal: the changes that were made, the latest first. Changes nothing."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from portroom.api.trials import folders, trials
from portroom.change import journal as books
from portroom.change.others import is_in
from portroom.change.places import all_places
from portroom.kernel.namespaces import identify
from portroom.kernel.trials import find_trials, read_boot_id
from portroom.model.facts.change import SettingStep
from portroom.model.facts.gaps import Gap
from portroom.model.facts.journal import DONE, PUT_BACK, SET, Entry, Journal
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.trial import PendingTrial

ENDED_WITH_BOOT = "The system has booted since: what it set ended with that boot."


def journal(limit: int = 0) -> Journal:
    """
    List the changes, the latest first. Changes nothing.

    Args:
        limit: The most entries of each journal, 0 for all.
    """
    read = [books.read(places) for places in all_places()]
    boot_id = read_boot_id()
    found = [_since_then(entry, boot_id) for one in read for entry in one.entries[-limit:]]
    found.sort(key=lambda entry: entry.started_at, reverse=True)
    return as_journal(found[: limit or None], [gap for one in read for gap in one.gaps])


def pending_in(
    namespaces: Iterable[NetnsId], environment: Mapping[str, str] = os.environ
) -> tuple[PendingTrial, ...]:
    """Return the trials for whose sake nothing else is changed in these namespaces now."""
    wanted = tuple(namespaces)
    seen = [one for folder in folders(environment) for one in find_trials(folder)[0]]
    return tuple(one.trial for one in seen if any(is_in(one, netns) for netns in wanted))


def as_journal(entries: Iterable[Entry], gaps: Sequence[Gap] = ()) -> Journal:
    """Return entries as an answer, with the trials that wait."""
    seen = trials()
    return Journal(
        host=os.uname().nodename,
        taken_at=now(),
        netns=identify(),
        gaps=(*gaps, *seen.gaps),
        entries=tuple(entries),
        pending=seen.trials,
    )


def now() -> datetime.datetime:
    """Return the time on the wall clock, to be shown."""
    return datetime.datetime.now(datetime.UTC)


def _since_then(entry: Entry, boot_id: str) -> Entry:
    """Return an entry as it stands in this boot: the values of another one are gone."""
    stands = (entry.action, entry.phase, entry.undone_by) == (SET, DONE, None)
    is_live = all(isinstance(step, SettingStep) for step in entry.steps)
    if entry.boot_id == boot_id or not stands or not is_live:
        return entry
    return msgspec.structs.replace(entry, phase=PUT_BACK, outcome=ENDED_WITH_BOOT)
