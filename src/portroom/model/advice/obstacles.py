"""Obstacles: what keeps a value from holding at the next boot, and where to change that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from portroom.model.advice.own_lines import NAMES
from portroom.model.advice.reasons import reason
from portroom.model.facts.change import Reason
from portroom.model.facts.sysctl_files import OWN_PATHS, shown
from portroom.model.laws.acceptance import ONE_WRITE_TAKES, RANGE_KEY, START_KEY
from portroom.model.laws.boot_notes import PROGRAM_NAMES
from portroom.model.laws.next_boot import Course, NextBoot, Proposal
from portroom.model.laws.outcomes import APPLIED, OVERRIDDEN, REFUSED, Place
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


def _decided_elsewhere(key: str, tried: Tried, _: Proposal | None = None) -> Reason:
    """Name the line that decides in place of ours."""
    course = tried.found.course
    by, held = course.holdings[key].winner, shown_value(course.state[key])
    if by is None:
        sentence = f"{name_of(key)} would be {held} after the next boot: no line sets it."
        return reason("not_held_at_boot", sentence, _what_to_write(key, tried, None))
    program = _applied_by(key, by, course)
    return reason(
        "not_held_at_boot",
        f"{_where(by)} decides {name_of(key)} at the next boot, whatever portroom's file is called: "
        f"{program} takes {held} from there.",
        _what_to_write(key, tried, by),
    )


def _applied_by(key: str, place: Place, course: Course) -> str:
    """Return the program that takes a sysctl from a line, as it is called."""
    lines = (one for one in course.holdings[key].proposals if one.place == place)
    program = next((one.program for one in lines if one.fate.outcome == APPLIED), course.program)
    return PROGRAM_NAMES.get(program, program)


def _what_to_write(key: str, tried: Tried, place: Place | None) -> str:
    """Return what is to be written, and in which line."""
    where = f" in place of line {place.line} of {shown(place.path)}" if place else ""
    if place and not tried.wanted[key]:
        return f"Remove line {place.line} of {shown(place.path)}."
    return f"Write {key} = {shown_value(tried.wanted[key])}{where}."


def _refused(key: str, tried: Tried, line: Proposal) -> Reason:
    """Tell why the kernel refuses our line, and which other line makes it so."""
    course, rival = tried.found.course, RIVALS.get(key, "")
    by = course.holdings[rival].winner if rival in course.holdings else None
    cause = f" {_where(by)} sets {name_of(rival)} to {course.state[rival]}." if by else ""
    bound = _bound(key, tried.wanted[key])
    where = f" in line {by.line} of {shown(by.path)}" if by else ""
    return reason(
        "refused_at_boot",
        f"The kernel would refuse {name_of(key)} {shown_value(tried.wanted[key])} at the next boot: "
        f"{line.fate.reason}.{cause}",
        f"Write {bound}{where}, or set both in one change." if bound else "",
    )


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
    state, program = tried.found.course.state, PROGRAM_NAMES.get(line.program, line.program)
    told = Line(key, line.place, line.value, line.fate, state[key], state)
    return reason(
        "cut_at_boot",
        f"{program} would set only a part of {name_of(key)} at the next boot: {why}.",
        remedy(told),
    )


def _not_taken(key: str, tried: Tried, line: Proposal) -> Reason:
    """Tell why the program takes no line from our file."""
    course, fate = tried.found.course, line.fate
    told = Line(key, line.place, line.value, fate, course.holdings[key].value, course.state)
    by = f" ({_where(fate.by)})" if fate.by else ""
    program = PROGRAM_NAMES.get(course.program, course.program)
    return reason(
        "not_held_at_boot",
        f"{program} would not take {name_of(key)} from portroom's file at the next boot: "
        f"{fate.reason or fate.outcome}{by}.",
        remedy(told),
    )


def _side_effect(key: str, tried: Tried) -> Reason:
    """Tell which other sysctl would change, and the line that would no longer count."""
    before, course = tried.before, tried.found.course
    winner = before.holdings[key].winner
    sets = f", which {_where(winner)} sets," if winner else ""
    lines = (one for one in course.holdings[key].proposals if one.place == winner)
    why = next((f": {one.fate.reason}" for one in lines if one.fate.reason), "")
    names = " and ".join(map(name_of, tried.wanted))
    return reason(
        "changes_others_at_boot",
        f"With {names} kept in a file, the next boot would leave {name_of(key)}{sets} at "
        f"{shown_value(course.state[key])} and no longer at {shown_value(before.state[key])}{why}.",
        f"Set {name_of(key)} in the same change.",
    )


OBSTACLES: Mapping[str, Callable[[str, Tried, Proposal], Reason]] = {
    APPLIED: _cut,
    OVERRIDDEN: _decided_elsewhere,
    REFUSED: _refused,
}
"""What is told of our line by what becomes of it; of any other outcome that it is not taken."""


def name_of(key: str) -> str:
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
