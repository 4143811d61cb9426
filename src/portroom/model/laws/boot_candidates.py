"""Lines of sysctl files from the law to the Answers: what `boot` and `settings` both tell."""

from __future__ import annotations

from portroom.model.facts.answers import FileLine
from portroom.model.facts.boot_lines import BootCandidate, FilePlace
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.next_boot import Course, Proposal
from portroom.model.laws.outcomes import Place
from portroom.model.laws.remedies import Line, remedy


def candidates(key: str, course: Course) -> tuple[BootCandidate, ...]:
    """Return the lines that name a sysctl, each with what becomes of it and what to do."""
    return tuple(_candidate(key, one, course) for one in course.holdings[key].proposals)


def _candidate(key: str, proposal: Proposal, course: Course) -> BootCandidate:
    """Return a line with what becomes of it."""
    by, held = proposal.fate.by, course.holdings[key].value
    line = Line(key, proposal.place, proposal.value, proposal.fate, held, course.state)
    return BootCandidate(
        file=shown(proposal.place.path),
        line=proposal.place.line,
        value=None if proposal.value is None else shown(proposal.value),
        outcome=proposal.fate.outcome,
        by=None if by is None else FilePlace(shown(by.path), by.line or None),
        reason=proposal.fate.reason,
        program=proposal.program,
        remedy=remedy(line),
    )


def as_file_line(place: Place | None) -> FileLine | None:
    """Return a place as answers have it."""
    return None if place is None else FileLine(shown(place.path), place.line)
