"""From what was read of the next boot to the Answer: who decides, and what is uncertain."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from portroom.errors import InvalidRequestError
from portroom.model.facts.answers import FileLine
from portroom.model.facts.boot import EVERY_KEY, BootFacts, BootWriter
from portroom.model.facts.boot_answer import Boot, BootKey, BootOther
from portroom.model.facts.boot_lines import BootCandidate, FilePlace
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.settings import SETTINGS, setting_named
from portroom.model.facts.snapshot import Settings, Snapshot
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.acceptance import KNOWN
from portroom.model.laws.boot import UNCHECKED, Place
from portroom.model.laws.dialects import PROCPS, SYSTEMD, TUNED
from portroom.model.laws.next_boot import (
    NextBoot,
    Proposal,
    is_applied_again,
    next_boot,
    tuned_decides,
)
from portroom.model.laws.patterns import is_pattern
from portroom.model.laws.sysctl_lines import with_dots, with_slashes

NAMES = {setting.key: setting.name for setting in SETTINGS}

PROGRAM_NAMES = {SYSTEMD: "systemd-sysctl", PROCPS: "sysctl --system", TUNED: "tuned"}

MODULE_KEYS = "net.netfilter."
"""Keys that exist only while a module is loaded."""

NOT_JUDGED = (
    "portroom does not know what the kernel makes of a text written to it: "
    "the value is the text as it would be written"
)


def key_named(word: str) -> str:
    """
    Return the sysctl key that a person means, with dots.

    Args:
        word: What ``setting_named`` takes, or the key of any other sysctl, also
            as a path below ``/proc/sys``.

    Raises:
        InvalidRequestError: It is neither a setting nor the key of one sysctl.

    >>> key_named("range"), key_named("/proc/sys/net/ipv4/conf/eth0.1/mtu")
    ('net.ipv4.ip_local_port_range', 'net.ipv4.conf.eth0/1.mtu')
    """
    name = word.removeprefix("/proc/sys/").encode("utf-8", "surrogateescape")
    path = with_slashes(name)
    if b"/" not in path:
        return setting_named(word).key
    if is_pattern(path) or {b"", b".", b".."} & set(path.split(b"/")) or b"=" in path:
        raise InvalidRequestError(f"{word!r} is not the key of one sysctl.", "Write it as a.b.c.")
    return with_dots(path).decode("utf-8", "surrogateescape")


def held_texts(settings: Settings) -> dict[str, str]:
    """Return what settings hold as the kernel writes it, by sysctl key."""
    return {
        key: f"{value.first} {value.last}" if isinstance(value, PortRange) else str(value)
        for key, value in settings.values.items()
    }


def boot_answer(
    snapshot: Snapshot,
    facts: BootFacts | Gap,
    wanted: Sequence[str],
    *,
    current: Mapping[str, str] | None = None,
    existing: Collection[str] | None = None,
    unasked: Collection[str] = (),
    program: str | None = None,
) -> Boot:
    """
    Return what decides each wanted sysctl at the next boot.

    Args:
        snapshot: Says whose answer it is.
        facts: All that was read of the next boot, or why nothing was.
        wanted: Sysctl keys, dotted, told in this order.
        current: What they hold now; None where that is not the system that boots.
        existing: Those that the kernel has; None takes all.
        unasked: Those of which a saved Snapshot does not tell what they hold.
        program: As for ``next_boot``.
    """
    if isinstance(facts, Gap):
        return _unanswered(snapshot, facts, wanted, current or {})
    found = next_boot(facts, None if existing is None else {*existing, *unasked}, wanted, program)
    return Boot(
        host=snapshot.host,
        taken_at=snapshot.taken_at,
        netns=snapshot.netns,
        gaps=(*_gaps(facts, found, wanted, current, existing, unasked),),
        program=found.course.program,
        keys=tuple(
            _key(key, found, current or {}, None if key in unasked else existing) for key in wanted
        ),
        program_version=_version(found),
        evidence=_evidence(facts, program, found.course.program),
        notes=tuple(_notes(facts, program, found, wanted)),
        writers=_writers(facts, wanted),
        root=facts.root,
    )


def _unanswered(
    snapshot: Snapshot, gap: Gap, wanted: Sequence[str], current: Mapping[str, str]
) -> Boot:
    """Return the answer of a Snapshot that has no part ``boot``."""
    unknown = Gap(gap.source, gap.reason, _of_keys(wanted, "value", "winner", "others"))
    keys = [
        BootKey(
            key=key,
            value=None,
            winner=None,
            candidates=(),
            programs_differ=False,
            others={},
            name=NAMES.get(key, key),
            current=current.get(key),
            default=_default(key),
            exists=True if key in current else None,
        )
        for key in wanted
    ]
    return Boot(
        host=snapshot.host,
        taken_at=snapshot.taken_at,
        netns=snapshot.netns,
        gaps=(unknown,),
        program=None,
        keys=tuple(keys),
        program_version=None,
        evidence="",
        notes=(),
        writers=(),
        root="/",
    )


def _key(
    key: str, found: NextBoot, current: Mapping[str, str], existing: Collection[str] | None
) -> BootKey:
    """Return what decides one sysctl."""
    holding = found.course.holdings[key]
    exists = None if existing is None else key in existing
    return BootKey(
        key=key,
        value=holding.value,
        winner=as_file_line(holding.winner),
        candidates=tuple(map(as_candidate, holding.proposals)),
        programs_differ=found.programs_differ(key),
        others={
            other.program: BootOther(
                other.holdings[key].value, as_file_line(other.holdings[key].winner)
            )
            for other in found.others
        },
        name=NAMES.get(key, key),
        current=current.get(key),
        default=None if exists is False else _default(key),
        exists=exists,
    )


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


def _default(key: str) -> str | None:
    """Return what the kernel starts with, None where the machine decides or nobody knows."""
    row = KNOWN.get(key)
    return row.default if row else None


def _version(found: NextBoot) -> str | None:
    """Return the version of the program as text."""
    version = found.course.version
    return None if version is None else ".".join(map(str, version))


def _writers(facts: BootFacts, wanted: Collection[str]) -> tuple[BootWriter, ...]:
    """Return what else sets the keys, but for lines that are candidates already."""
    return tuple(
        one
        for one in facts.writers
        if one.key in wanted or one.key == EVERY_KEY
        if not is_applied_again(one)
    )


# What is uncertain.


def _gaps(
    facts: BootFacts,
    found: NextBoot,
    wanted: Sequence[str],
    current: Mapping[str, str] | None,
    existing: Collection[str] | None,
    unasked: Collection[str],
) -> Iterator[Gap]:
    """Yield what could not be read or judged, and which fields that makes uncertain."""
    for gap in facts.gaps:
        fields = (field for name in gap.affects for field in _fields(name, wanted))
        yield Gap(gap.source, gap.reason, tuple(dict.fromkeys(fields)))
    yield from _unseen(found, wanted)
    for key in wanted:
        if doubt := found.course.holdings[key].doubt:
            yield Gap(key, doubt, _of_key(key, wanted, "value"))
        fates = [one.fate.outcome for one in found.course.holdings[key].proposals]
        if UNCHECKED in fates and key not in KNOWN:
            yield Gap(key, NOT_JUDGED, _of_key(key, wanted, "value"))
    if current is None:
        reason = f"not_looked_at: {facts.root} is not the system that runs here"
        yield Gap("current", reason, _of_keys(wanted, "current"))
    elif existing is not None:
        yield from _absent(wanted, current, existing, unasked)


def _fields(name: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the fields of the answer that a reader's word stands for."""
    if name == "others":
        return ("writers",)
    if name == "keys":
        return _of_keys(wanted, "value", "winner", "others")
    return (name,)


def _unseen(found: NextBoot, wanted: Sequence[str]) -> Iterator[Gap]:
    """Yield one Gap for each file that programs read and portroom could not."""
    here = {one.path: one for one in reversed(found.course.unseen)}
    elsewhere = {one.path: one for other in found.others for one in reversed(other.unseen)}
    for path, one in reversed((elsewhere | here).items()):
        fields = ["value", "winner"] if path in here else []
        fields += ["others", "programs_differ"] if path in elsewhere else []
        yield Gap(shown(path), one.reason, _of_keys(wanted, *fields))


def _absent(
    wanted: Sequence[str],
    current: Mapping[str, str],
    existing: Collection[str],
    unasked: Collection[str],
) -> Iterator[Gap]:
    """Yield why keys have no value now."""
    reasons = {setting.key: setting.absent for setting in SETTINGS}
    for key in wanted:
        if key in unasked:
            affects = _of_key(key, wanted, "current")
            yield Gap(key, "not_looked_at: the Snapshot has settings alone", (*affects, "writers"))
        elif key not in current:
            why = "may not be read" if key in existing else "this kernel does not have it"
            yield Gap(key, reasons.get(key, why), _of_key(key, wanted, "current"))


def _of_keys(wanted: Sequence[str], *fields: str) -> tuple[str, ...]:
    """Return the names of fields of all keys, as they stand in the answer."""
    return fields if len(wanted) == 1 else tuple(f"keys.{field}" for field in fields)


def _of_key(key: str, wanted: Sequence[str], field: str) -> tuple[str, ...]:
    """Return the name of a field of one key, as it stands in the answer."""
    return (field if len(wanted) == 1 else f"{NAMES.get(key, key)}.{field}",)


# What a person is told besides.


def _evidence(facts: BootFacts, asked: str | None, chosen: str) -> str:
    """Return how the program is known, as a sentence without its end."""
    known, how = facts.program.program, facts.program.evidence
    if asked and asked != known:
        boots = f"the system boots with {known}" if known else "what boots the system is not known"
        return f"{asked} was asked for; {boots}: {how}"
    if chosen == TUNED:
        return f"{how}; tuned is started after that and decides last"
    return how


def _notes(
    facts: BootFacts, asked: str | None, found: NextBoot, wanted: Sequence[str]
) -> Iterator[str]:
    """Yield what a person should know besides, in sentences."""
    yield from facts.program.notes
    if facts.program.program is None and asked is None:
        yield f"What is told here holds if {PROGRAM_NAMES[found.base]} applies the files."
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
