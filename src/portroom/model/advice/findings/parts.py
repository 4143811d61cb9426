"""The parts of a Scene that rules need, and why one of them is not there, or not in full."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import NamespaceRange, Pulse, Scene
from portroom.model.facts.settings import DEFAULT_RANGE
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Protocol, TcpState
from portroom.model.laws.ownership import unread

SETTINGS, GROUPS, AGES, OWNERS = "settings", "groups", "ages", "owners"
BOOT, AROUND, CONNTRACK, PORTS_AROUND = "boot", "around", "conntrack", "ports_around"
COUNTS, CONNTRACK_STATS = "counts", "conntrack_stats"
TRANSLATIONS, RANGES = "translations", "ranges"

NAMESPACES = "namespaces"
"""The source of a gap that tells of namespaces which were not entered."""

HOST = "host"

NOT_REACHED = frozenset({"named", "container"})
"""Kinds of namespaces that no boot file reaches: there is nothing that they could miss."""

Asked = Callable[[Scene], "Gap | None"]


def missing(scene: Scene, needs: Iterable[str]) -> Gap | None:
    """Return why a rule cannot look, None where it can."""
    return _first(PARTS, scene, needs)


def incomplete(scene: Scene, needs: Iterable[str]) -> Gap | None:
    """
    Return why a rule that can look does not see all, None where it does.

    What it finds is true all the same; that it finds nothing means nothing.
    """
    return _first(IN_FULL, scene, needs)


def _first(parts: Mapping[str, Asked], scene: Scene, needs: Iterable[str]) -> Gap | None:
    """Return the first reason that some parts have."""
    gaps = (parts[part](scene) for part in needs if part in parts)
    return next((gap for gap in gaps if gap is not None), None)


def _settings(scene: Scene) -> Gap | None:
    """Return why the settings are not known."""
    return _gap(scene.read.settings)


def _groups(scene: Scene) -> Gap | None:
    """Return why the sockets are not known."""
    return _gap(scene.read.groups)


def _ages(scene: Scene) -> Gap | None:
    """Return why the ages of TIME_WAITs are not known: they are read where somebody asks."""
    groups = scene.read.groups
    if not isinstance(groups, Groups):
        return groups
    for table in groups.tables:
        waiting = table.protocol is Protocol.TCP and table.state is TcpState.TIME_WAIT
        if waiting and table.ports and not table.remaining_ms:
            return Gap("groups", "the ages of TIME_WAITs were not read")
    return None


def _owners(scene: Scene) -> Gap | None:
    """Return why the processes are not known; where no port is held there is none to know."""
    return _gap(scene.read.owners) if scene.keys else None


def _boot(scene: Scene) -> Gap | None:
    """Return why it is not known what the next boot gives."""
    return _gap(scene.read.boot) if _may_be_booted(scene) else None


def _may_be_booted(scene: Scene) -> bool:
    """
    Say whether boot files decide in this namespace, as far as is known.

    A user may not see which is the host's; where it is known, no other one is it.
    """
    kind = scene.read.netns.kind
    return kind == HOST or (kind not in NOT_REACHED and _host(scene) is None)


def _host(scene: Scene) -> NamespaceRange | None:
    """Return the range of the host's namespace, None where it was not looked at."""
    known = scene.ranges if isinstance(scene.ranges, tuple) else ()
    return next((one for one in known if one.netns.kind == HOST), None)


def _around(*sources: str) -> Asked:
    """Return the part of the surroundings that some sources of gaps make unknown."""
    spoiling = frozenset({"surroundings", *sources})

    def part(scene: Scene) -> Gap | None:
        """Return the first gap that matters."""
        return next((gap for gap in scene.around.gaps if gap.source in spoiling), None)

    return part


def _counts(scene: Scene) -> Gap | None:
    """Return why the counters of the namespace are not known."""
    return _gap(scene.before.counts) if isinstance(scene.before, Pulse) else scene.before


def _conntrack_stats(scene: Scene) -> Gap | None:
    """Return why it is not known what connection tracking refused."""
    return _gap(scene.before.conntrack) if isinstance(scene.before, Pulse) else scene.before


def _translations(scene: Scene) -> Gap | None:
    """Return why translated connections are not known."""
    return _gap(scene.translations)


def _ranges(scene: Scene) -> Gap | None:
    """Return why the ranges of other namespaces are not known."""
    return _gap(scene.ranges)


def _every_owner(scene: Scene) -> Gap | None:
    """Return why some processes are not known; where no port is held there is none to know."""
    return unread(scene.read.owners) if scene.keys else None


def needs_every_range(scene: Scene) -> bool:
    """
    Say whether the ranges of all namespaces matter.

    On a host with the kernel's own range no other is odd; and a namespace that is
    asked about alone needs but its own and the host's.
    """
    host = _host(scene)
    return host is None or (scene.read.netns.kind == HOST and host.range != DEFAULT_RANGE)


def _every_range(scene: Scene) -> Gap | None:
    """Return why some ranges are not known that would matter."""
    if not needs_every_range(scene):
        return None
    return next((gap for gap in scene.read.gaps if _is_of_ranges(gap)), None)


def _is_of_ranges(gap: Gap) -> bool:
    """Say whether a gap tells of namespaces whose range was not seen."""
    return gap.source == NAMESPACES and "findings" in gap.affects


def _gap(part: object) -> Gap | None:
    """Return a part that is a Gap."""
    return part if isinstance(part, Gap) else None


PARTS: Mapping[str, Asked] = {
    SETTINGS: _settings,
    GROUPS: _groups,
    AGES: _ages,
    OWNERS: _owners,
    BOOT: _boot,
    AROUND: _around(),
    PORTS_AROUND: _around(),
    CONNTRACK: _around("conntrack"),
    COUNTS: _counts,
    CONNTRACK_STATS: _conntrack_stats,
    TRANSLATIONS: _translations,
    RANGES: _ranges,
}
"""Each part with what says why it is not there."""

IN_FULL: Mapping[str, Asked] = {
    OWNERS: _every_owner,
    RANGES: _every_range,
    PORTS_AROUND: _around("processes", "vxlan", "units"),
}
"""Parts of which some may be there, each with what says why not all is."""
