"""Keep: the file that makes settings hold at the next boot, planned and proven."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from portroom.change import persist
from portroom.change.places import Places
from portroom.change.recover import recover
from portroom.change.who import read_who
from portroom.errors import PortroomError, RefusedError, WriteError
from portroom.kernel.boot import read_boot, read_held
from portroom.model.advice import persisting
from portroom.model.advice.own_lines import Note
from portroom.model.advice.persisting import PATHS, FilePlan, Own
from portroom.model.facts.boot import BootFacts
from portroom.model.facts.change import REFUSAL, FileContent, FileStep, Request, SettingChange
from portroom.model.facts.journal import Entry
from portroom.model.facts.settings import KEYS
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.boot_reach import ONLY_INITIAL
from portroom.model.laws.next_boot import Course, next_boot


def file_plan(
    facts: BootFacts, values: Mapping[str, str], request: Request, at: datetime.datetime
) -> FilePlan:
    """
    Return which file would be written so that settings hold at the next boot.

    Args:
        facts: What decides at the next boot of this host.
        values: Canonical text by sysctl, in the order of writing.
        request: What was asked for, to be told in the file.
        at: When.

    Raises:
        RefusedError: What lies in the place of our file is none that may be written.
        NotPermittedError: It may not be read.
    """
    note = Note(at, read_who().name, " ".join(request.words))
    return persisting.plan_file(facts, _existing(), values, _own(), note, request)


def steps_to_keep(
    values: Mapping[str, str], request: Request, at: datetime.datetime
) -> tuple[FileStep, ...]:
    """
    Return the steps that make settings hold at the next boot, as things are now.

    Raises:
        RefusedError: No file of ours would decide; all reasons are told.
        NotPermittedError: What there is of ours may not be read.
    """
    found = file_plan(read_boot(), values, request, at)
    refusals = [one for one in found.reasons if one.severity == REFUSAL]
    if refusals:
        remedies = " ".join(one.remedy for one in refusals if one.remedy)
        raise RefusedError(" ".join(one.sentence for one in refusals), remedies)
    return found.steps


def check_kept(values: Mapping[str, str]) -> None:
    """
    Ask again what the next boot gives, after the file was written.

    Raises:
        WriteError: It is not what was asked for.
    """
    unmet = persisting.unmet(read_boot(), _existing(), values)
    if unmet:
        raise WriteError(
            "The file was written and does not decide: " + " ".join(one.sentence for one in unmet)
        )


def recover_all(places: Places) -> tuple[Entry, ...]:
    """
    Put back all that did not complete, and tell where values come from that a boot gave.

    Call it with the lock held; see ``portroom.change.recover``.
    """
    return recover(places, origins=_origins_if_seen)


def _origins_if_seen(changes: Iterable[SettingChange]) -> str:
    """Return what ``origins`` does, "" where that cannot be seen: the file goes all the same."""
    try:
        return origins(changes)
    except (PortroomError, OSError):
        return ""


def origins(changes: Iterable[SettingChange]) -> str:
    """
    Return sentences about where the values of settings came from at the last boot.

    Args:
        changes: Settings whose value a change gave the file, of which a boot took it.
    """
    keys = [one.key for one in changes if one.key in KEYS]
    course, held = next_boot(read_boot(), _existing()).course, read_held(keys)
    return " ".join(_origin(key, course, held.get(key)) for key in keys)


def _origin(key: str, course: Course, now: str | None) -> str:
    """Return a sentence about where the value of one setting came from."""
    if now is None or key not in course.holdings:
        return f"{key} cannot be read now."
    winner = course.holdings[key].winner
    if now != course.state.get(key):
        return f"{key} is {now!r} now, which no file gave it at boot."
    if winner is None:
        return f"{key} is {now!r} now, the kernel's default."
    return f"{key} is {now!r} now, from {shown(winner.path)}:{winner.line} at boot."


def _existing() -> set[str]:
    """Return the sysctls that this kernel has."""
    # The kernel has it, though another namespace than the first does not show it.
    return {*read_held(KEYS), ONLY_INITIAL}


def _own() -> Own:
    """Return what there is of our files now."""
    files = {path: persist.read_own(path) for path in PATHS}
    present = {path: FileContent(*one) for path, one in files.items() if one is not None}
    return Own(present, persist.has_folder(PATHS[0]))
