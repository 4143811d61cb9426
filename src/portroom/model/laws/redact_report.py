"""Leave out of what stands beside a Snapshot whatever tells whose it is; numbers stay."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.gaps import Gap
from portroom.model.facts.report import ChangeMade
from portroom.model.facts.scene import Scene
from portroom.model.facts.surroundings import Surroundings
from portroom.model.laws.redact import redact

REDACTED = "redacted"


def redact_scene(scene: Scene) -> Scene:
    """
    Return a Scene in which nothing tells whose it is: its Snapshot, and counters alone.

    Keys are left out: they have to be found anew, under other addresses.
    """
    around = scene.around
    numbers = Surroundings(
        selinux=around.selinux,
        conntrack_used=around.conntrack_used,
        conntrack_max=around.conntrack_max,
        tcp_memory_pages=around.tcp_memory_pages,
        tcp_memory_max_pages=around.tcp_memory_max_pages,
        gaps=(_gap("surroundings", "findings", "limits.open_files"),),
    )
    return Scene(
        read=redact(scene.read),
        around=numbers,
        before=scene.before,
        after=scene.after,
        translations=_gap("translations", "findings"),
        files=scene.files,
        ranges=_gap("namespaces", "findings"),
    )


def redact_failures(counts: FailureCounts) -> FailureCounts:
    """Return counts of failures without a row: each tells of a process and an address."""
    rows = len(counts.counts) + counts.counts_omitted
    return replace(
        counts,
        host="host",
        netns=replace(counts.netns, name="netns", cookie=None, inode=0, pid=None),
        counts=(),
        counts_omitted=rows,
        gaps=tuple(replace(gap, reason=REDACTED) for gap in counts.gaps),
    )


def redact_changes(changes: Iterable[ChangeMade]) -> tuple[ChangeMade, ...]:
    """Return changes without who made them, in which words, and how they ended in words."""
    return tuple(replace(one, who="", words=(), outcome="") for one in changes)


def _gap(source: str, *affects: str) -> Gap:
    """Return the Gap of a part that is left out."""
    return Gap(source, REDACTED, affects)
