"""The next boot: what each sysctl holds once everything that sets it then has run.

Rules of this file:

- three write one after the other: the kernel's own command line, the program
  that applies sysctl files, and tuned where it is started; each finds what the
  one before left;
- what was written and is replaced later is overridden by the line that does;
- what another program would leave is computed in the same way, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from portroom.model.facts.boot import (
    BEFORE,
    KERNEL_COMMAND_LINE,
    PROCESS,
    REAPPLY,
    BootFacts,
    BootWriter,
    Version,
)
from portroom.model.facts.boot import TUNED as SET_BY_TUNED
from portroom.model.facts.settings import KEYS
from portroom.model.facts.sysctl_files import Unseen, shown
from portroom.model.laws.acceptance import KNOWN, write_once
from portroom.model.laws.boot import boot
from portroom.model.laws.dialects import PROCPS, SYSTEMD, TUNED, dialect
from portroom.model.laws.outcomes import (
    APPLIED,
    MASKED,
    OVERRIDDEN,
    REFUSED,
    UNCHECKED,
    UNREAD,
    Candidate,
    Fate,
    Place,
    Verdict,
)

KERNEL = "kernel"
"""Who applies what stands on the kernel's command line."""

MODULE_KEYS = "net.netfilter."
"""How keys begin that exist only while a module is loaded."""


class Proposal(NamedTuple):
    """A line that names a sysctl, and who reads it: KERNEL or a program."""

    program: str
    place: Place
    value: bytes | None
    fate: Fate


class Holding(NamedTuple):
    """
    What one sysctl holds in the end: None where the kernel's default stays.

    ``doubt`` says why that is not sure, empty if it is.
    """

    value: str | None = None
    winner: Place | None = None
    proposals: tuple[Proposal, ...] = ()
    doubt: str = ""


class Course(NamedTuple):
    """
    How a boot goes with one program: by key what the sysctls hold in the end.

    ``state`` is the same with the kernel's defaults, "" for one that depends on
    the machine; a sysctl that does not exist is not in it. ``unseen`` tells what
    is read then and portroom could not.
    """

    program: str
    version: Version | None
    holdings: dict[str, Holding]
    state: dict[str, str]
    unseen: tuple[Unseen, ...]


class NextBoot(NamedTuple):
    """
    What the next boot gives, and what it would give with other programs.

    ``base`` is the program that applies the sysctl files, also below tuned.
    """

    course: Course
    others: tuple[Course, ...]
    base: str

    def programs_differ(self, key: str) -> bool:
        """Say whether some programs end with different values of a sysctl."""
        return len({course.state.get(key) for course in (self.course, *self.others)}) > 1


def next_boot(
    facts: BootFacts,
    existing: Collection[str] | None = None,
    keys: Sequence[str] = KEYS,
    program: str | None = None,
) -> NextBoot:
    """
    Return what the next boot gives each sysctl.

    Args:
        facts: All that was read.
        existing: The sysctls that the kernel has, dotted; None takes all keys.
        keys: Sysctls to judge besides those of the table, which are always.
        program: One of ``dialects.PROGRAMS``; None takes what boots the system.
            TUNED is what holds after tuned ran on top of the boot program.
    """
    every = tuple(dict.fromkeys((*KEYS, *keys)))
    state = _state_before(facts, every, existing)
    base = boot_program(facts)
    chosen = program or (TUNED if tuned_decides(facts) else base)
    names = [SYSTEMD, PROCPS, *([TUNED] if facts.tuned or chosen == TUNED else [])]
    courses = {name: _course(facts, name, base, every, state) for name in names}
    return NextBoot(courses.pop(chosen), tuple(courses.values()), base)


def boot_program(facts: BootFacts) -> str:
    """Return the program that boots the system, or whose rules are told in its place."""
    if facts.program.program:
        return facts.program.program
    only_procps = PROCPS in facts.program.installed and SYSTEMD not in facts.program.installed
    return PROCPS if only_procps else SYSTEMD


def _state_before(
    facts: BootFacts, keys: Sequence[str], existing: Collection[str] | None
) -> dict[str, str]:
    """Return what sysctls hold before anything is applied; "" where that is not known."""
    raised = {one.key for one in facts.writers if one.kind == PROCESS and one.when == BEFORE}
    defaults = {key: KNOWN[key].default or "" for key in keys if key in KNOWN}
    return {
        key: "" if key in raised else defaults.get(key, "")
        for key in keys
        if existing is None or key in existing
    }


def tuned_decides(facts: BootFacts) -> bool:
    """Say whether tuned is surely started, and then writes any of the sysctls."""
    tuned = facts.tuned
    return tuned is not None and bool(tuned.starts) and bool(tuned.reapplies or _profile(facts))


def _course(
    facts: BootFacts, program: str, base: str, keys: Sequence[str], state: Mapping[str, str]
) -> Course:
    """Return how a boot goes with one program, from the kernel's defaults on."""
    run = _Run(facts, keys, state)
    run.assign(KERNEL, _command_line(facts), _as_the_kernel_takes_it)
    run.apply_files(base if program == TUNED else program, keys)
    if program == TUNED:
        run.assign(TUNED, _profile(facts), _as_tuned_takes_it)
        if facts.tuned is None or facts.tuned.reapplies:
            run.apply_files(TUNED, keys)
    version = _version(facts, program)
    return Course(program, version, run.holdings, run.state, tuple(dict.fromkeys(run.unseen)))


def _version(facts: BootFacts, program: str) -> Version | None:
    """Return the version of a program that is installed, as far as it is known."""
    if program == TUNED and facts.tuned:
        return facts.tuned.version
    return facts.program.installed.get(program)


class _Run:
    """A boot under way: what each sysctl holds so far, and what became of each line."""

    def __init__(self, facts: BootFacts, keys: Sequence[str], state: Mapping[str, str]) -> None:
        self.facts = facts
        self.state = dict(state)
        self.holdings = dict.fromkeys(keys, Holding())
        self.unseen: list[Unseen] = []

    def apply_files(self, program: str, keys: Sequence[str]) -> None:
        """Let a program apply the sysctl files."""
        rules = dialect(program, _version(self.facts, program))
        if program == TUNED and self.facts.tuned:
            rules = rules._replace(left_out=self.facts.tuned.excluded)
        booted = boot(self.facts.tree, rules, keys, self.state)
        self.state = dict(booted.state)
        self.unseen += booted.unseen
        for verdict in booted.verdicts:
            self._add(program, verdict)

    def assign(self, program: str, writers: Iterable[BootWriter], take: Take) -> None:
        """Let a program set sysctls one after the other."""
        for writer in writers:
            if writer.key not in self.holdings:
                continue
            place = Place((writer.file or "").encode("utf-8", "surrogateescape"), writer.line or 0)
            value, fate = take(writer, self.state)
            self._assign_one(program, writer, place, value, fate)
            if value is None and fate.outcome == UNCHECKED:
                doubt = f"{program} may set it, by {shown(place.path)}:{place.line}: {fate.reason}"
                self.holdings[writer.key] = self.holdings[writer.key]._replace(doubt=doubt)

    def _assign_one(
        self, program: str, writer: BootWriter, place: Place, value: bytes | None, fate: Fate
    ) -> None:
        """Write one value, unless it is already known that it is not written."""
        key, winner = writer.key, None
        if value is not None:
            held, fate = _written(key, value, self.state)
            if fate.outcome != REFUSED:
                self.state[key], winner = held, place
        told = value if value is not None else (writer.value or "").encode("utf-8", "replace")
        candidate = Candidate(place, told, fate)
        self._add(program, Verdict(key, self.state.get(key), winner, (candidate,)))

    def _add(self, program: str, verdict: Verdict) -> None:
        """Note what one more program did with a sysctl."""
        before = self.holdings[verdict.key]
        later = [
            Proposal(program, *one)
            for one in verdict.candidates
            # The boot program told already of what tuned does not read.
            if program != TUNED or one.fate.outcome not in NEVER_READ
        ]
        proposals = before.proposals
        if verdict.winner is None:
            self.holdings[verdict.key] = before._replace(proposals=(*proposals, *later))
            return
        earlier = [_replaced(one, verdict.winner, program) for one in proposals]
        self.holdings[verdict.key] = Holding(verdict.value, verdict.winner, (*earlier, *later))


Take = Callable[[BootWriter, Mapping[str, str]], "tuple[bytes | None, Fate]"]
"""Say what a writer writes, from the state before; None with the reason for nothing."""

NEVER_READ = frozenset({UNREAD, MASKED})


def _replaced(proposal: Proposal, by: Place, program: str) -> Proposal:
    """Return a proposal as it stands once a later program wrote the sysctl."""
    if proposal.fate.outcome not in {APPLIED, UNCHECKED} or proposal.value is None:
        return proposal
    again = " again" if proposal.place == by else ""
    return proposal._replace(fate=Fate(OVERRIDDEN, by, f"{program} writes it{again} later"))


def _written(key: str, value: bytes, state: Mapping[str, str]) -> tuple[str, Fate]:
    """Return what a sysctl holds after one write, and what became of that write."""
    if key not in state:
        return "", Fate(REFUSED, None, "this kernel does not have it")
    if key not in KNOWN:
        return shown(value), Fate(UNCHECKED)
    written = write_once(key, value, state)
    outcome = REFUSED if written.refusal else APPLIED
    return written.value, Fate(outcome, None, written.reason)


def _command_line(facts: BootFacts) -> list[BootWriter]:
    """Return what stands on the kernel's command line, in its order."""
    return [one for one in facts.writers if one.kind == KERNEL_COMMAND_LINE]


def _profile(facts: BootFacts) -> list[BootWriter]:
    """Return what tuned's own profiles set: not the files that it applies again."""
    return [one for one in facts.writers if one.kind == SET_BY_TUNED and not is_applied_again(one)]


def is_applied_again(writer: BootWriter) -> bool:
    """Say whether a writer is tuned at the sysctl files, whose lines are told each."""
    return (writer.kind, writer.name) == (SET_BY_TUNED, REAPPLY)


def _as_the_kernel_takes_it(writer: BootWriter, _: Mapping[str, str]) -> tuple[bytes | None, Fate]:
    """
    Return the value as it stands there, of what exists when the kernel writes it.

    Source: Linux init/main.c, kernel_init: do_sysctl_args() comes before the first process.
    """
    if writer.value is None:
        return None, Fate(UNCHECKED, None, "its value is not known")
    if writer.key.startswith(MODULE_KEYS):
        return None, Fate(UNCHECKED, None, "only if its module is built into the kernel")
    return writer.value.encode("utf-8", "surrogateescape"), Fate(APPLIED)


def _as_tuned_takes_it(writer: BootWriter, state: Mapping[str, str]) -> tuple[bytes | None, Fate]:
    """
    Return what tuned writes for an option of a profile.

    Quotes around it are taken off; ``>`` and ``<`` before a number write it only
    if it is higher, or lower, than what the sysctl holds.
    """
    value = writer.value
    if writer.conditional:
        return None, Fate(UNCHECKED, None, "only on some machines")
    if value is None or "${" in value:
        return None, Fate(UNCHECKED, None, "its value has variables of tuned")
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    sign, number, held = value[:1], value[1:].strip(), state.get(writer.key)
    if sign in {"<", ">"} and number.isdecimal() and held is not None:
        if not held.isdecimal():
            return None, Fate(UNCHECKED, None, "it depends on what the kernel holds")
        if (int(number) > int(held)) is (sign == "<") or int(number) == int(held):
            return None, Fate(OVERRIDDEN, None, f"the kernel holds {held}, and {value} leaves it")
        value = number
    return value.encode("utf-8", "surrogateescape"), Fate(APPLIED)
