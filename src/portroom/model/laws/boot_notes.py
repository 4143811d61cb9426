"""What a person is told of the next boot besides: how the program is known, and what surprises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.boot import BootFacts
from portroom.model.laws.dialects import PROCPS, SYSTEMD, TUNED
from portroom.model.laws.next_boot import MODULE_KEYS, NextBoot, boot_program, tuned_decides

PROGRAM_NAMES = {SYSTEMD: "systemd-sysctl", PROCPS: "sysctl --system", TUNED: "tuned"}
"""What applies the files, as it is called on a command line or in a unit."""


def evidence(facts: BootFacts, asked: str | None, chosen: str) -> str:
    """Return how the program is known, as what may follow a "because"."""
    known, how = facts.program.program, facts.program.evidence
    if asked and asked != known:
        boots = f"the system boots with {known}" if known else "what boots the system is not known"
        return f"{asked} was asked for; {boots}: {how}"
    if known is None and not asked:
        how = f"{_why_assumed(facts)}; what boots this system is not known: {how}"
    if chosen == TUNED:
        return f"{how}; tuned is started after that and decides last"
    return how


def _why_assumed(facts: BootFacts) -> str:
    """Return why the rules of a program are told of which nobody knows that it is started."""
    installed = facts.program.installed
    base = boot_program(facts)
    return f"{base} is installed" if base in installed else "most hosts boot with it"


def notes(
    facts: BootFacts, asked: str | None, found: NextBoot, wanted: Sequence[str]
) -> Iterator[str]:
    """Yield what a person should know besides, in sentences."""
    yield from facts.program.notes
    yield from _tuned_notes(facts, asked, found.base)
    for key in wanted:
        if key.startswith(MODULE_KEYS) and found.course.holdings[key].proposals:
            yield (
                f"{key} exists only once its module is loaded: if that is after the files "
                "are applied, no line sets it."
            )


def _tuned_notes(facts: BootFacts, asked: str | None, base: str) -> Iterator[str]:
    """Yield what there is to know of tuned."""
    tuned = facts.tuned
    if tuned is None:
        if asked == TUNED:
            yield (
                "tuned is not installed: told is what it would leave if it applied the files "
                f"again after {PROGRAM_NAMES[base]}."
            )
    elif tuned.starts is None:
        yield "tuned is installed; whether it is started at boot is not known."
    elif not tuned.starts:
        yield "tuned is installed and not started at boot."
    elif asked in {SYSTEMD, PROCPS} and tuned_decides(facts):
        yield f"tuned is started after {PROGRAM_NAMES[asked]} and decides last."
