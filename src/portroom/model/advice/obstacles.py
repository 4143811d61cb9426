"""Obstacles: what keeps a value from holding at the next boot, and where to change that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from portroom.model.advice.own_lines import NAMES
from portroom.model.advice.reasons import reason
from portroom.model.facts.change import Reason
from portroom.model.facts.sysctl_files import OWN_PATHS, shown
from portroom.model.laws.acceptance import ONE_WRITE_TAKES, RANGE_KEY, START_KEY, write_once
from portroom.model.laws.boot_notes import PROGRAM_NAMES
from portroom.model.laws.next_boot import Course, NextBoot, Proposal
from portroom.model.laws.outcomes import APPLIED, EXCLUDED, OVERRIDDEN, REFUSED, Place
from portroom.model.laws.remedies import Line, remedy

RIVALS = {RANGE_KEY: START_KEY, START_KEY: RANGE_KEY}
"""By which other sysctl the kernel judges one."""

LONGEST_SHOWN = 60
"""Characters of a value in a sentence."""


class Tried(NamedTuple):
    """
    The next boot as it is, and as it would be with our file.

    Args:
        before: How it goes now.
        found: How it would go.
        wanted: What sysctls shall hold then, canonical.
    """

    before: Course
    found: NextBoot
    wanted: Mapping[str, str]


def faults(tried: Tried) -> list[str]:
    """Return the sysctls that would not hold what is wanted, or not what they hold now."""
    after = tried.found.course.state
    missed = [key for key in tried.wanted if is_missed(key, tried.found.course, tried)]
    changed = (key for key in after if after[key] != tried.before.state.get(key))
    return missed + [key for key in changed if key not in tried.wanted]


def is_missed(key: str, course: Course, tried: Tried) -> bool:
    """Say whether a course of the boot leaves a sysctl at something else than what is wanted."""
    return course.state.get(key) != tried.wanted[key]


def obstacles(tries: Sequence[Tried]) -> tuple[Reason, ...]:
    """Return what refuses, as told by the try that comes nearest; of equals the last."""
    nearest = min(reversed(tries), key=lambda one: (_missed(one), len(faults(one))))
    return tuple(_obstacle(key, nearest) for key in faults(nearest))


def _missed(tried: Tried) -> int:
    """Return how many sysctls would not hold what is wanted."""
    return len([key for key in faults(tried) if key in tried.wanted])


def _obstacle(key: str, tried: Tried) -> Reason:
    """Return why one sysctl does not hold what it should."""
    if key not in tried.wanted:
        return _side_effect(key, tried)
    course = tried.found.course
    if key not in course.state:
        return reason("not_supported", f"{key} does not exist on this kernel.")
    lines = [one for one in course.holdings[key].proposals if _is_own(one)]
    if not lines:
        return _decided_elsewhere(key, tried)
    return OBSTACLES.get(lines[-1].fate.outcome, _not_taken)(key, tried, lines[-1])


def _is_own(line: Proposal) -> bool:
    """Say whether a line that sets something stands in a file of ours."""
    return shown(line.place.path) in OWN_PATHS and line.value is not None


def _decided_elsewhere(key: str, tried: Tried, line: Proposal | None = None) -> Reason:
    """Name the line that has the last word in place of ours, also if the kernel refuses it."""
    course = tried.found.course
    last, held = _last_word(key, course, line), shown_value(course.state[key])
    if last is None:
        sentence = f"{setting_name(key)} would be {held} after the next boot: no line sets it."
        return reason("not_held_at_boot", sentence, _what_to_write(key, tried, None))
    taken = held
    if last.fate.outcome != APPLIED:
        taken = repr(shown(last.value or b"")[:LONGEST_SHOWN])
    return reason(
        "not_held_at_boot",
        f"{_where(last.place)} decides {setting_name(key)} at the next boot, whatever portroom's "
        f"file is called: {_called(last.program)} takes {taken} from there{_why_lost(last, held)}.",
        _what_to_write(key, tried, last.place),
    )


def _last_word(key: str, course: Course, line: Proposal | None) -> Proposal | None:
    """
    Return the line that decides, or else the one in place of ours that the kernel refuses.

    Args:
        key: The sysctl.
        course: How the boot goes.
        line: Ours, as far as there is one.
    """
    holding = course.holdings[key]
    # A line may be read by two programs: what counts is the one that took it.
    lines = sorted(holding.proposals, key=lambda one: one.fate.outcome == APPLIED)
    by_place = {one.place: one for one in lines}
    place = holding.winner or (line.fate.by if line else None)
    refused = (one for one in reversed(holding.proposals) if one.fate.outcome == REFUSED)
    return by_place[place] if place in by_place else next(refused, None)


def _why_lost(line: Proposal, held: str) -> str:
    """Return why what a line says is not what is held then, "" if it is."""
    if line.fate.outcome == APPLIED:
        return ""
    refuses = "the kernel refuses it" if line.fate.outcome == REFUSED else line.fate.outcome
    reasons = ": ".join(filter(None, (refuses, line.fate.reason)))
    return f", and {reasons}; {held} would stay"


def _called(program: str) -> str:
    """Return a program as it is called."""
    return PROGRAM_NAMES.get(program, program)


def _what_to_write(key: str, tried: Tried, place: Place | None) -> str:
    """Return what is to be written, and in which line."""
    where = f" in place of line {place.line} of {shown(place.path)}" if place else ""
    if place and not tried.wanted[key]:
        return f"Remove line {place.line} of {shown(place.path)}."
    return f"Write {key} = {shown_value(tried.wanted[key])}{where}."


def _refused(key: str, tried: Tried, line: Proposal) -> Reason:
    """Tell why the kernel refuses our line, and which other line makes it so."""
    by, cause = _rival(key, tried)
    bound = _bound(key, tried.wanted[key])
    where = f" in line {by.line} of {shown(by.path)}" if by else ""
    return reason(
        "refused_at_boot",
        f"The kernel would refuse {setting_name(key)} {shown_value(tried.wanted[key])} at the next "
        f"boot: {line.fate.reason}.{cause}",
        f"Write {bound}{where}, or set both in one change." if bound else "",
    )


def _rival(key: str, tried: Tried) -> tuple[Place | None, str]:
    """
    Return the line of another sysctl by which the kernel refuses ours, and a sentence of it.

    That need not be the line that decides the other one in the end: what counts is
    what it holds when ours is written.
    """
    rival, course = RIVALS.get(key, ""), tried.found.course
    if rival not in course.state:
        return None, ""
    for one in reversed(course.holdings[rival].proposals):
        held = write_once(rival, one.value or b"", {}).value
        after = write_once(key, tried.wanted[key].encode(), {**course.state, rival: held})
        if one.fate.outcome in {APPLIED, OVERRIDDEN} and after.refusal:
            return one.place, f" {_where(one.place)} sets {setting_name(rival)} to {held}."
    return None, f" No line sets {setting_name(rival)}: it is {course.state[rival]} by default."


def _bound(key: str, text: str) -> str:
    """Return what the rival of a sysctl has to be, "" where there is none."""
    if key == RANGE_KEY:
        return f"{START_KEY} = {text.split(maxsplit=1)[0]} (or lower)"
    return f"a range that begins at {text} or above" if key == START_KEY else ""


def _cut(key: str, tried: Tried, line: Proposal) -> Reason:
    """Tell how much of our line the program writes."""
    why = line.fate.reason
    if ONE_WRITE_TAKES not in why:
        return _decided_elsewhere(key, tried)
    state, program = tried.found.course.state, _called(line.program)
    told = Line(key, line.place, line.value, line.fate, state[key], state)
    return reason(
        "cut_at_boot",
        f"{program} would set only a part of {setting_name(key)} at the next boot: {why}.",
        remedy(told),
    )


def _not_taken(key: str, tried: Tried, line: Proposal) -> Reason:
    """Tell why the program takes no line from our file, and which line decides then."""
    course, fate = tried.found.course, line.fate
    told = Line(key, line.place, line.value, fate, course.holdings[key].value, course.state)
    why = fate.reason or fate.outcome
    by = f" {f'({_where(fate.by)})' if fate.reason else f'by {_where(fate.by)}'}" if fate.by else ""
    winner, held = course.holdings[key].winner, shown_value(course.state[key])
    what_to_do = remedy(told)
    if fate.outcome == EXCLUDED and fate.by:
        what_to_do = f"Remove line {fate.by.line} of {shown(fate.by.path)}."
    return reason(
        "not_held_at_boot",
        f"{_called(line.program)} would not take {setting_name(key)} from portroom's file at the "
        f"next boot, whatever it is called: {why}{by}."
        + (f" {_where(winner)} decides, and gives {held}." if winner else ""),
        _what_to_write(key, tried, winner) if winner else what_to_do,
    )


def _side_effect(key: str, tried: Tried) -> Reason:
    """Tell which other sysctl would change, and the line that would no longer count."""
    before, course = tried.before, tried.found.course
    winner, now = before.holdings[key].winner, course.holdings[key].winner
    sets = f", which {_where(winner)} sets," if winner else ""
    by = f" ({_where(now)} decides)" if now and now != winner else ""
    lines = (one for one in course.holdings[key].proposals if one.place == winner)
    why = next((f": {one.fate.reason}" for one in lines if one.fate.reason), "")
    names = " and ".join(map(setting_name, tried.wanted))
    return reason(
        "changes_others_at_boot",
        f"With {names} kept in a file, the next boot would leave {setting_name(key)}{sets} at "
        f"{shown_value(course.state[key])}{by} and no longer at "
        f"{shown_value(before.state[key])}{why}.",
        f"Set {setting_name(key)} in the same change.",
    )


OBSTACLES: Mapping[str, Callable[[str, Tried, Proposal], Reason]] = {
    APPLIED: _cut,
    OVERRIDDEN: _decided_elsewhere,
    REFUSED: _refused,
}
"""What is told of our line by what becomes of it; of any other outcome that it is not taken."""


def setting_name(key: str) -> str:
    """Return what portroom calls a sysctl."""
    return NAMES.get(key, key)


def _where(place: Place) -> str:
    """Return a line of a file."""
    return f"{shown(place.path)}:{place.line}" if place.line else shown(place.path)


def shown_value(text: str) -> str:
    """Return a value in a sentence, cut if it is long."""
    if len(text) > LONGEST_SHOWN:
        return f"{text[:LONGEST_SHOWN]}..."
    return text or "an empty list"
