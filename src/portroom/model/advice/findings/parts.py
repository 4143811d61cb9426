"""The parts of a Scene that rules need, and why one of them is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Pulse, Scene
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Protocol, TcpState

SETTINGS, GROUPS, AGES, OWNERS = "settings", "groups", "ages", "owners"
BOOT, AROUND, CONNTRACK, PORTS_AROUND = "boot", "around", "conntrack", "ports_around"
COUNTS, CONNTRACK_STATS = "counts", "conntrack_stats"
TRANSLATIONS, RANGES = "translations", "ranges"

NOT_REACHED = frozenset({"named", "container"})
"""Kinds of namespaces that no boot file reaches: there is nothing that they could miss."""


def missing(scene: Scene, needs: Iterable[str]) -> Gap | None:
    """Return why a rule cannot look, None where it can."""
    gaps = (PARTS[part](scene) for part in needs)
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
    return None if scene.read.netns.kind in NOT_REACHED else _gap(scene.read.boot)


def _around(*sources: str) -> Callable[[Scene], Gap | None]:
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


def _gap(part: object) -> Gap | None:
    """Return a part that is a Gap."""
    return part if isinstance(part, Gap) else None


PARTS: Mapping[str, Callable[[Scene], Gap | None]] = {
    SETTINGS: _settings,
    GROUPS: _groups,
    AGES: _ages,
    OWNERS: _owners,
    BOOT: _boot,
    AROUND: _around(),
    PORTS_AROUND: _around("processes", "vxlan", "units"),
    CONNTRACK: _around("conntrack"),
    COUNTS: _counts,
    CONNTRACK_STATS: _conntrack_stats,
    TRANSLATIONS: _translations,
    RANGES: _ranges,
}
"""Each part with what says why it is not there."""
