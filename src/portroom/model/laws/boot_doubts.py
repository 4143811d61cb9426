"""What is uncertain of the next boot: what could not be read or judged, and which fields that is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from portroom.model.facts.boot import BootFacts
from portroom.model.facts.gaps import NOT_LOOKED_AT, Gap
from portroom.model.facts.settings import SETTINGS
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.acceptance import KNOWN
from portroom.model.laws.boot_notes import PROGRAM_NAMES
from portroom.model.laws.next_boot import NextBoot
from portroom.model.laws.outcomes import UNCHECKED

NAMES = {setting.key: setting.name for setting in SETTINGS}

NOT_JUDGED = (
    "portroom does not know what the kernel makes of a text written to it: "
    "the value is the text as it would be written"
)

NOT_RUNNING = "does not run here: no values, no processes, no kernel command line"

PROGRAM = "program"
"""Source of the Gap that says that the rules told are those of a program nobody starts."""

NOTHING_APPLIES = "nothing is known to apply sysctl files at boot"


class Asked(NamedTuple):
    """
    The sysctls that were asked for, and what is known of them now.

    Args:
        wanted: Keys, dotted, told in this order.
        current: What they hold now; None where that is not the system that boots.
        existing: Those that the kernel has; None where nobody looked.
        unasked: Those of which a saved Snapshot does not tell what they hold.
        barred: Those that the files of this system do not decide here, and why.
    """

    wanted: Sequence[str]
    current: Mapping[str, str] | None = None
    existing: Collection[str] | None = None
    unasked: Collection[str] = ()
    barred: Mapping[str, str] = MappingProxyType({})

    def exists(self, key: str) -> bool | None:
        """Say whether the kernel has a sysctl, None where nobody looked."""
        if self.existing is None or key in self.unasked:
            return None
        if key in self.existing or key in NAMES:
            return key in self.existing
        # Another namespace may lack what the one that boots has.
        return None if key in self.barred else False

    def held(self, key: str) -> str | None:
        """Return what a sysctl holds now where files decide it, None where that is not known."""
        return None if key in self.barred else (self.current or {}).get(key)


def doubts(
    facts: BootFacts, found: NextBoot, asked: Asked, program: str | None = None
) -> Iterator[Gap]:
    """
    Yield what could not be read or judged, and which fields that makes uncertain.

    Args:
        facts: All that was read.
        found: What the next boot gives.
        asked: The sysctls.
        program: The one that was asked for, None for what boots the system.
    """
    wanted = asked.wanted
    if facts.program.program is None and program is None:
        reason = f"{NOTHING_APPLIES}: what is told holds if {PROGRAM_NAMES[found.base]} does"
        yield Gap(PROGRAM, reason, (PROGRAM, *of_keys(wanted, "value", "winner")))
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
    if asked.current is None:
        reason = f"{NOT_LOOKED_AT}: {facts.root} {NOT_RUNNING}"
        yield Gap("current", reason, (*of_keys(wanted, "current"), "writers"))
    else:
        yield from _barred(asked)
        yield from _absent(asked, asked.current)


def _fields(name: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the fields of the answer that a reader's word stands for."""
    if name == "others":
        return ("writers",)
    if name == "keys":
        return of_keys(wanted, "value", "winner", "others")
    return (name,)


def _unseen(found: NextBoot, wanted: Sequence[str]) -> Iterator[Gap]:
    """Yield one Gap for each file that programs read and portroom could not."""
    here = {one.path: one for one in reversed(found.course.unseen)}
    elsewhere = {one.path: one for other in found.others for one in reversed(other.unseen)}
    for path, one in reversed((elsewhere | here).items()):
        fields = ["value", "winner"] if path in here else []
        fields += ["others", "programs_differ"] if path in elsewhere else []
        yield Gap(shown(path), one.reason, of_keys(wanted, *fields))


def _barred(asked: Asked) -> Iterator[Gap]:
    """Yield why keys that hold something here have no value to compare with."""
    for reason in dict.fromkeys(asked.barred.values()):
        keys = [key for key in asked.wanted if asked.barred.get(key) == reason]
        fields = (field for key in keys for field in _of_key(key, asked.wanted, "current"))
        yield Gap("current", reason, tuple(fields))


def _absent(asked: Asked, current: Mapping[str, str]) -> Iterator[Gap]:
    """Yield why keys have no value now."""
    reasons = {setting.key: setting.absent for setting in SETTINGS}
    for key in asked.wanted:
        affects = _of_key(key, asked.wanted, "current")
        if key in asked.unasked:
            reason = f"{NOT_LOOKED_AT}: not in the Snapshot"
            yield Gap(key, reason, (*affects, "writers"))
        elif key not in current and asked.exists(key) is not None:
            why = "may not be read" if asked.exists(key) else "this kernel does not have it"
            yield Gap(key, reasons.get(key, why), affects)


def of_keys(wanted: Sequence[str], *fields: str) -> tuple[str, ...]:
    """Return the names of fields of all keys, as they stand in the answer."""
    return fields if len(wanted) == 1 else tuple(f"keys.{field}" for field in fields)


def _of_key(key: str, wanted: Sequence[str], field: str) -> tuple[str, ...]:
    """Return the name of a field of one key, as it stands in the answer."""
    return (field if len(wanted) == 1 else f"{NAMES.get(key, key)}.{field}",)
