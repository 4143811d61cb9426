"""Drift: what each setting holds now, beside what the next boot gives it.

Rules of this file:

- what is not known is None with a Gap that says why: never "no drift";
- a setting that the files of this system do not reach has none (``boot_reach``);
- values are compared as what they are, never as texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from portroom.model.facts.answers import BootConflict, Drift, FileLine
from portroom.model.facts.boot import AFTER, ANY_TIME, EVERY_KEY, TUNED, BootFacts, BootWriter
from portroom.model.facts.boot_lines import BootCandidate
from portroom.model.facts.gaps import Gap
from portroom.model.facts.settings import SETTINGS, Scope, Setting, parse_value
from portroom.model.facts.snapshot import Settings, SettingValue, Snapshot
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.boot_candidates import as_file_line, candidates
from portroom.model.laws.boot_doubts import NOTHING_APPLIES
from portroom.model.laws.boot_reach import barred, is_container
from portroom.model.laws.next_boot import Course, NextBoot, next_boot

FIELDS = ("persisted", "persisted_at", "drift")

Given = tuple[tuple[str, SettingValue | None], ...]
"""Programs, each with the value that it gives, None where that is not known."""


class Prospect(msgspec.Struct, frozen=True):
    """
    What the next boot gives one setting.

    ``persisted`` and ``at`` are None where no line decides, ``gives`` is the
    kernel's default then. All are None, and so is ``drift``, where it is not
    known. ``candidates`` are the lines that name it. ``by_program`` has a
    value for each program that is installed where they differ.
    """

    persisted: SettingValue | None = None
    at: FileLine | None = None
    gives: SettingValue | None = None
    drift: bool | None = None
    candidates: tuple[BootCandidate, ...] = ()
    by_program: Given = ()


class Prospects(msgspec.Struct, frozen=True):
    """What the next boot gives some settings, by name, and what could not be told."""

    by_name: dict[str, Prospect]
    gaps: tuple[Gap, ...] = ()


def prospects(read: Snapshot, wanted: Sequence[Setting]) -> Prospects:
    """
    Return what the next boot gives each wanted setting.

    Args:
        read: Its parts ``settings`` and ``boot`` are used.
        wanted: Rows of the table.
    """
    none = {setting.name: Prospect() for setting in wanted}
    facts = read.boot
    reasons = barred(read, [row.key for row in wanted], looked=not isinstance(facts, Gap))
    reached = [row for row in wanted if row.key not in reasons]
    gaps = tuple(Gap("boot", reason, FIELDS) for reason in dict.fromkeys(reasons.values()))
    if not reached:
        return Prospects(none, gaps)
    if isinstance(facts, Gap):
        return Prospects(none, (*gaps, Gap(facts.source, facts.reason, FIELDS)))
    found = next_boot(facts, _existing(read), program=None)
    if facts.program.program is None:
        reason = f"{NOTHING_APPLIES}: {facts.program.evidence}"
        gaps += (Gap("boot", reason, FIELDS),)
        return Prospects(none | {row.name: _lines(row, found) for row in reached}, gaps)
    doubts = _Doubts(facts, found)
    told = {row.name: _prospect(row, read, found, doubts) for row in reached}
    return Prospects(none | told, (*gaps, *doubts.gaps(reached)))


def decided_here(read: Snapshot) -> list[Setting]:
    """Return the settings that a namespace has of its own, and those of the system it boots."""
    everything = read.netns.kind == "host" and not is_container(read)
    return [row for row in SETTINGS if everything or row.scope is Scope.NAMESPACE]


def drifts(found: Prospects, known: Settings) -> tuple[Drift, ...]:
    """Return the settings whose value is not what the next boot gives, as Answers have them."""
    return tuple(
        Drift(
            name=row.name,
            current=str(known.values[row.key]),
            persisted=str(one.gives),
            file=one.at.file if one.at else None,
            line=one.at.line if one.at else None,
        )
        for row, one in _rows(found)
        if one.drift and one.gives is not None
    )


def conflicts(found: Prospects) -> tuple[BootConflict, ...]:
    """Return the settings to which the programs of this system give different values."""
    return tuple(
        BootConflict(
            row.name,
            {program: None if value is None else str(value) for program, value in one.by_program},
        )
        for row, one in _rows(found)
        if one.by_program
    )


def _rows(found: Prospects) -> Iterator[tuple[Setting, Prospect]]:
    """Yield the rows of the table that were asked for, with what the next boot gives."""
    for row in SETTINGS:
        if row.name in found.by_name:
            yield row, found.by_name[row.name]


def _existing(read: Snapshot) -> set[str] | None:
    """Return the sysctls that the kernel has, None where the namespace does not show all."""
    if read.netns.kind != "host" or isinstance(read.settings, Gap):
        return None
    return set(read.settings.values)


def _lines(row: Setting, found: NextBoot) -> Prospect:
    """Return what is known of a setting of which it is not known who sets it: its lines."""
    return Prospect(candidates=candidates(row.key, found.course))


def _prospect(row: Setting, read: Snapshot, found: NextBoot, doubts: _Doubts) -> Prospect:
    """Return what the next boot gives one setting."""
    if doubts.of(row):
        return _lines(row, found)
    holding, settings = found.course.holdings[row.key], read.settings
    current = None if isinstance(settings, Gap) else settings.values.get(row.key)
    gives = _typed(row, found.course.state.get(row.key))
    persisted = gives if holding.winner else None
    return msgspec.structs.replace(
        _lines(row, found),
        persisted=persisted,
        at=None if persisted is None else as_file_line(holding.winner),
        gives=gives,
        drift=None if current is None or gives is None else current != gives,
        by_program=_by_program(row, found, doubts.facts),
    )


def _typed(row: Setting, text: str | None) -> SettingValue | None:
    """Return the value of a setting from what the kernel holds, None where that is not known."""
    try:
        return None if text is None else parse_value(row.type, text)
    except ValueError:
        return None


def _by_program(row: Setting, found: NextBoot, facts: BootFacts) -> Given:
    """Return what each program gives a setting, if those that are installed differ."""
    courses = [found.course, *(one for one in found.others if is_there(one, facts))]
    given = [(one.program, _typed(row, one.state.get(row.key))) for one in courses]
    return tuple(given) if len({value for _, value in given}) > 1 else ()


def is_there(course: Course, facts: BootFacts) -> bool:
    """Say whether a program is installed and all that it reads was seen."""
    if course.program == TUNED and (facts.tuned is None or facts.tuned.starts is False):
        return False
    return course.program in facts.program.installed and not course.unseen


class _Doubts:
    """Why it is not known what the next boot gives: for all settings, or for one."""

    def __init__(self, facts: BootFacts, found: NextBoot) -> None:
        self.facts = facts
        self.found = found
        self.of_all = [Gap(shown(one.path), one.reason, FIELDS) for one in found.course.unseen]
        self.of_all += [
            Gap(gap.source, gap.reason, FIELDS) for gap in facts.gaps if "keys" in gap.affects
        ]

    def of(self, row: Setting) -> str:
        """Return why one setting is not known, empty if it is."""
        if self.of_all:
            return self.of_all[0].reason
        if doubt := self.found.course.holdings[row.key].doubt:
            return doubt
        writer = next((one for one in self.facts.writers if self._writes_later(one, row)), None)
        if writer:
            return writer.sentence
        tuned = next((one for one in self.found.others if one.program == TUNED), None)
        maybe = self.facts.tuned is not None and self.facts.tuned.starts is None and tuned
        if maybe and maybe.state.get(row.key) != self.found.course.state.get(row.key):
            return "tuned would set it, and whether it starts at boot is not known"
        return ""

    def _writes_later(self, writer: BootWriter, row: Setting) -> bool:
        """Say whether something sets a setting after those whose rules are known."""
        if writer.when not in {AFTER, ANY_TIME} or writer.kind == TUNED:
            return False
        named = bool(self.found.course.holdings[row.key].proposals)
        return writer.key == row.key or (writer.key == EVERY_KEY and named)

    def gaps(self, wanted: Iterable[Setting]) -> Iterator[Gap]:
        """Yield all doubts as Gaps."""
        yield from self.of_all
        # What might be there besides takes nothing away from what is known.
        yield from (
            Gap(gap.source, gap.reason, FIELDS)
            for gap in self.facts.gaps
            if "keys" not in gap.affects
        )
        yield from (Gap("boot", note, FIELDS) for note in self.facts.program.notes)
        for row in () if self.of_all else wanted:
            if reason := self.of(row):
                yield Gap(row.key, reason, tuple(f"{row.name}.{field}" for field in FIELDS))
