"""Cautions about the next boot: what may set a value later, and what is not sure."""

from __future__ import annotations

from collections.abc import Iterator

from portroom.model.advice.obstacles import Tried, is_missed, setting_name, shown_value
from portroom.model.advice.reasons import reason
from portroom.model.facts.boot import AFTER, ANY_TIME, EVERY_KEY, TRACE, BootFacts, BootWriter
from portroom.model.facts.change import Reason, Request
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.acceptance import write_once
from portroom.model.laws.boot_doubts import NOTHING_APPLIES
from portroom.model.laws.boot_notes import PROGRAM_NAMES
from portroom.model.laws.dialects import PROCPS, TUNED
from portroom.model.laws.drift import is_there
from portroom.model.laws.next_boot import Course

UNSEEN_TOLD = 3
"""Files that could not be read of which a sentence is told."""


def cautions(facts: BootFacts, tried: Tried, request: Request | None = None) -> Iterator[Reason]:
    """
    Yield what may keep values from holding though our file decides.

    Args:
        facts: What was read of the next boot.
        tried: How it goes with our file.
        request: Whose ``--force`` lifts what may be lifted.
    """
    for writer in facts.writers:
        keys = [key for key in tried.wanted if _spoils(writer, key, tried)]
        if keys:
            yield _set_later(writer, keys, tried, request)
    for why in _doubts(facts, tried):
        yield reason("boot_not_sure", f"Whether it holds at the next boot is not sure: {why}.")
    if facts.program.program is None:
        program = PROGRAM_NAMES[tried.found.base]
        yield reason(
            "no_boot_program",
            f"{NOTHING_APPLIES[0].upper()}{NOTHING_APPLIES[1:]}: {facts.program.evidence}. "
            f"The file holds if {program} reads it.",
        )


def others(facts: BootFacts, tried: Tried) -> Iterator[str]:
    """Yield a sentence for each sysctl that another program of this host would leave otherwise."""
    for course in tried.found.others:
        if not is_there(course, facts):
            continue
        for key in tried.wanted:
            if is_missed(key, course, tried):
                yield f"{PROGRAM_NAMES[course.program]} would {_leave(key, course)}."


def _leave(key: str, course: Course) -> str:
    """Return what a course leaves in a sysctl, and by which line."""
    winner = course.holdings[key].winner
    by = f" ({shown(winner.path)}:{winner.line} decides)" if winner else ""
    return f"leave {setting_name(key)} at {shown_value(course.state.get(key, ''))}{by}"


def _spoils(writer: BootWriter, key: str, tried: Tried) -> bool:
    """Say whether something may give a sysctl another value, once the files are applied."""
    if writer.kind == TUNED or writer.when not in {AFTER, ANY_TIME}:
        return False
    if writer.key == EVERY_KEY:
        # Such a line is a call of the program of procps.
        courses = (tried.found.course, *tried.found.others)
        return any(is_missed(key, one, tried) for one in courses if one.program == PROCPS)
    return writer.key == key and _given(writer, tried) != tried.wanted[key]


def _given(writer: BootWriter, tried: Tried) -> str | None:
    """Return what a sysctl holds after a writer, None where that is not known."""
    if writer.value is None:
        return None
    return write_once(writer.key, writer.value.encode(), tried.found.course.state).value


def _set_later(
    writer: BootWriter, keys: list[str], tried: Tried, request: Request | None
) -> Reason:
    """Return what a writer would do: a refusal where it surely comes later and what it sets."""
    known = writer.kind == TRACE and (writer.value is not None or writer.key == EVERY_KEY)
    sure = known and writer.when == AFTER and not writer.conditional
    names = " and ".join(map(setting_name, keys))
    texts = " and ".join(f"{key} = {shown_value(tried.wanted[key])}" for key in keys)
    where = f"line {writer.line} of {writer.file}" if writer.file else ""
    return reason(
        "set_later" if sure else "may_be_set_later",
        f"{names} would not stay as it is in portroom's file: {writer.sentence}",
        f"Remove {where}, or have {texts} there." if where else "",
        request,
    )


def _doubts(facts: BootFacts, tried: Tried) -> Iterator[str]:
    """Yield why it is not known what the next boot gives, each the end of a sentence."""
    unseen = tried.found.course.unseen
    yield from (f"{shown(one.path)} {one.reason}" for one in unseen[:UNSEEN_TOLD])
    if len(unseen) > UNSEEN_TOLD:
        yield f"{len(unseen) - UNSEEN_TOLD} more files could not be read"
    yield from (f"{gap.source} {gap.reason}" for gap in facts.gaps if "keys" in gap.affects)
    yield from filter(None, (tried.found.course.holdings[key].doubt for key in tried.wanted))
