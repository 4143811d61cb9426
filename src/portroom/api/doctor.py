"""Doctor: what is wrong, or will be, and what to do about it. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn

import msgspec

from portroom.api import scene as reading
from portroom.api.probing import is_asked_once
from portroom.api.scene import NOBODY
from portroom.api.source import Live, Saved, Source
from portroom.errors import InvalidRequestError, NotSupportedError, PortroomError
from portroom.kernel.conntrack import read_translations
from portroom.kernel.probe import probe
from portroom.kernel.rows import RowsQuery
from portroom.kernel.snapshot import Wanted, read_key_owners
from portroom.kernel.surroundings import read_surroundings
from portroom.model.advice.doctor import diagnose
from portroom.model.advice.findings.parts import needs_every_range
from portroom.model.advice.findings.programs import suspects
from portroom.model.facts.answers import Findings
from portroom.model.facts.gaps import NOT_LOOKED_AT, Gap
from portroom.model.facts.ports import PortSet
from portroom.model.facts.scene import Probed, Pulse, Scene
from portroom.model.facts.snapshot import Counters, Snapshot
from portroom.model.facts.sockets import Protocol, TcpState
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys, owners_by_key
from portroom.model.laws.ownership import unread

__all__ = ["begin", "doctor", "findings", "look_around", "with_keys"]

TIGHTEST = 20
"""Keys that are judged."""

ROWS_UP_TO = 50_000
"""TCP sockets up to which each is looked at with its owner; above, only those that may stay."""

AFFECTS = ("findings",)
"""What a gap of this answer makes uncertain."""

UNSETTLED = Gap(
    "probe",
    "this kernel cannot be asked about a single port (no IP_LOCAL_PORT_RANGE): "
    "whether these programs bind before they connect stays in doubt",
    AFFECTS,
)

OWNERS_UP_TO = 5_000
"""TCP sockets up to which owners are looked for again and again: some 30 ms."""

STAYING = frozenset({TcpState.LISTEN, TcpState.BOUND_INACTIVE, TcpState.CLOSE_WAIT})


def doctor(source: Source, *, settle: bool = False, watch_s: float = 1.0) -> Findings:
    """
    Return what is wrong in one namespace, the gravest first.

    Args:
        source: The kernel or a saved Snapshot.
        settle: Let the kernel itself settle which programs bind before they connect.
        watch_s: Seconds between two readings of counters.

    Raises:
        InvalidRequestError: A saved Snapshot cannot be probed.
        NotPermittedError: The namespace may not be entered.
    """
    return begin(source, settle=settle)(watch_s)


def begin(source: Source, *, settle: bool = False) -> Callable[[float], Findings]:
    """
    Read one namespace, and return what waits, reads its counters again and answers.

    Many namespaces that begin one after the other share one wait. The arguments,
    and what is raised, are those of ``doctor``; an error is raised at the end.
    """
    if isinstance(source, Saved):
        saved = _saved(source, settle=settle)
        return lambda _: _answer(saved)
    try:
        scene = source.run(lambda: _seen(source, settle=settle))
    except PortroomError as error:
        return partial(_raise, error)
    return lambda watch_s: source.run(lambda: _answer(_watched(scene, watch_s)))


def look_around(source: Live, earlier: Pulse | None = None) -> Scene:
    """
    Read what the rules need, on the thread that is in the namespace of *source*.

    For who looks again and again: the scene's ``before`` is the pulse to give the
    next time as *earlier*; nobody waits for a second one, and owners are looked for
    only while that is cheap.

    Args:
        source: The namespace.
        earlier: Its counters some time ago; None leaves what they tell unchecked.
    """
    scene = _seen(source, settle=False, owners_up_to=OWNERS_UP_TO)
    if earlier is None:
        return scene
    return msgspec.structs.replace(scene, before=earlier, after=scene.before)


def findings(scene: Scene) -> Findings:
    """Return what the rules find in a scene."""
    return _answer(scene)


def _raise(error: PortroomError, _: float) -> NoReturn:
    """Raise what was met at the beginning."""
    raise error


def _saved(source: Saved, *, settle: bool) -> Scene:
    """Return the scene of a saved Snapshot, which has nothing beside it."""
    if settle:
        raise InvalidRequestError(
            "A saved Snapshot cannot be probed: only a running kernel answers --probe.",
            "Leave out --probe or --snapshot.",
        )
    return with_keys(Scene(read=source.snapshot))


def _seen(source: Live, *, settle: bool, owners_up_to: int | None = None) -> Scene:
    """
    Read the scene in the namespace of the calling thread.

    Args:
        source: The namespace.
        settle: Let the kernel itself settle which programs bind before they connect.
        owners_up_to: TCP sockets up to which owners are looked for; None always does.
    """
    before = reading.pulse()
    boots_here = source.known is None or source.known.kind == "host"
    read = source.take(Wanted(groups=True, all_ports=True, boot=boots_here, times=True))
    scene = with_keys(Scene(read=_with_sockets(_with_owners(read, owners_up_to)), before=before))
    scene = msgspec.structs.replace(
        scene,
        around=read_surroundings(read.netns, reading.owners_of(scene.read)),
        translations=read_translations(TIGHTEST),
        ranges=source.system.ranges(),
    )
    if needs_every_range(scene):
        unranged = [Gap(gap.source, gap.reason, AFFECTS) for gap in source.system.unranged]
        scene = msgspec.structs.replace(scene, read=_with_gaps(scene.read, *unranged))
    return _settled(scene) if settle else scene


def _with_gaps(read: Snapshot, *gaps: Gap) -> Snapshot:
    """Return a Snapshot with what else was not seen."""
    return msgspec.structs.replace(read, gaps=(*read.gaps, *gaps)) if gaps else read


def _watched(scene: Scene, watch_s: float) -> Scene:
    """Return a scene with its counters read a second time."""
    assert isinstance(scene.before, Pulse)
    return msgspec.structs.replace(scene, after=reading.later_pulse(scene.before, watch_s))


def _with_owners(read: Snapshot, up_to: int | None = None) -> Snapshot:
    """Return a Snapshot with the owners of its tightest keys, unless too many are in use."""
    if isinstance(read.settings, Gap):
        return read
    counters = read.counters
    in_use = 0 if isinstance(counters, Gap) else counters.tcp_inuse + counters.tcp6_inuse
    if up_to is not None and in_use > up_to:
        gap = Gap("owners", f"{NOT_LOOKED_AT}: {in_use} sockets, ask portroom doctor", AFFECTS)
        return msgspec.structs.replace(read, owners=gap)
    keys = find_keys(read, KeysWanted(limit=TIGHTEST))
    owners = read_key_owners(keys.measured, read.settings.ephemeral, read.netns)
    return msgspec.structs.replace(read, owners=owners)


def _with_sockets(read: Snapshot) -> Snapshot:
    """Return a Snapshot with its sockets one by one, or those that may stay where they are many."""
    counters = read.counters
    few = isinstance(counters, Counters) and (
        counters.tcp_inuse + counters.tcp6_inuse + counters.tcp_tw <= ROWS_UP_TO
    )
    tcp = RowsQuery((Protocol.TCP,)) if few else RowsQuery((Protocol.TCP,), STAYING)
    return reading.with_rows(read, tcp, RowsQuery((Protocol.UDP,)))


def with_keys(scene: Scene) -> Scene:
    """Return a scene with its tightest keys."""
    read = scene.read
    known = owners_by_key(read.owners)
    keys = tuple(
        as_key(one, known.get((one.id.protocol.value, one.id.group_key, one.id.family), ()))
        for one in find_keys(read, KeysWanted(limit=TIGHTEST)).measured
    )
    return msgspec.structs.replace(scene, keys=keys)


def _settled(scene: Scene) -> Scene:
    """Return a scene in which the kernel said which suspicious ports nobody else gets."""
    ports = {port for one in suspects(scene) for port in one.ports}
    if not ports:
        return scene
    if is_asked_once(scene.read):
        return msgspec.structs.replace(scene, read=_with_gaps(scene.read, UNSETTLED))
    try:
        said = probe(NOBODY, NOBODY.address, sorted(ports))
    except (NotSupportedError, InvalidRequestError) as error:
        gap = Gap("probe", error.message, AFFECTS)
        return msgspec.structs.replace(scene, read=_with_gaps(scene.read, gap))
    return msgspec.structs.replace(
        scene, probed=Probed(free=PortSet.of(said.free), blocked=PortSet.of(said.held))
    )


def _answer(scene: Scene) -> Findings:
    """Return the answer: what the rules find in a scene."""
    read = scene.read
    found = diagnose(scene)
    unseen = unread(read.owners, *AFFECTS)
    return Findings(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        gaps=(*read.gaps, *([unseen] if unseen else []), *scene.around.gaps),
        findings=found.findings,
        checked=found.checked,
        unchecked=found.unchecked,
    )
