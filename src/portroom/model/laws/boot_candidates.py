"""Lines of sysctl files from the law to the Answers: what `boot` and `settings` both tell."""

from __future__ import annotations

from portroom.model.facts.answers import FileLine
from portroom.model.facts.boot_lines import BootCandidate, FilePlace
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.next_boot import Proposal
from portroom.model.laws.outcomes import Place


def as_candidate(proposal: Proposal) -> BootCandidate:
    """Return a line with what becomes of it."""
    by = proposal.fate.by
    return BootCandidate(
        file=shown(proposal.place.path),
        line=proposal.place.line,
        value=None if proposal.value is None else shown(proposal.value),
        outcome=proposal.fate.outcome,
        by=None if by is None else FilePlace(shown(by.path), by.line or None),
        reason=proposal.fate.reason,
        program=proposal.program,
    )


def as_file_line(place: Place | None) -> FileLine | None:
    """Return a place as answers have it."""
    return None if place is None else FileLine(shown(place.path), place.line)
