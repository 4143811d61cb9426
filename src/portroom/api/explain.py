"""Explain: why a connect, bind, listen or send fails. Changes nothing.

The zero-packet probe is asked only where a key may be exhausted and the kernel
does not tell: it stops at the second free port, which proves the contrary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from portroom.api import scene as reading
from portroom.api.endpoints import check_local, find_remotes
from portroom.api.scene import NOBODY
from portroom.api.source import Live, Saved, Source, System
from portroom.errors import InvalidRequestError, NotSupportedError
from portroom.kernel import namespaces
from portroom.kernel.addresses import read_address
from portroom.kernel.conntrack import read_translations
from portroom.kernel.elsewhere import read_elsewhere
from portroom.kernel.holdings import read_holdings
from portroom.kernel.probe import probe
from portroom.kernel.process_seen import read_process
from portroom.kernel.reached import read_reached
from portroom.kernel.rows import RowsQuery
from portroom.kernel.snapshot import Wanted, read_key_owners
from portroom.kernel.system_files import read_system_files
from portroom.kernel.unix_sockets import read_backlogs
from portroom.model.advice.explain import explain as judge
from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import ERRORS, FOUND, Cause, ExplainQuestion, Explanation
from portroom.model.facts.gaps import NOT_LOOKED_AT, Gap
from portroom.model.facts.ports import PortSet
from portroom.model.facts.scene import Probed, Scene
from portroom.model.facts.snapshot import NetnsId, Snapshot
from portroom.model.facts.sockets import Endpoint, Operation, Protocol, TcpState
from portroom.model.laws.buckets import buckets
from portroom.model.laws.headroom import (
    SPARE_PORTS,
    Keys,
    KeysWanted,
    as_key,
    doubts,
    find_keys,
    owners_by_key,
    settle,
)
from portroom.model.laws.scope import within

__all__ = ["explain"]

TIGHTEST = 5
"""Keys that are judged where no destination is named."""

TRANSLATIONS = 1_000
"""Remote endpoints that this host translates to, the fullest first."""

OWNERS_UP_TO = 200_000
"""TCP sockets up to which owners are looked for: about a second."""

ANY = "0.0.0.0"  # noqa: S104 - a question, nothing is bound
"""What bind() asks for that is in the way of everybody, and everybody in its way."""

WATCH_S = 1.0
"""Seconds between two readings of counters, for what shows in nothing else."""

ON_THE_PATH = frozenset({"ETIMEDOUT", "EPERM"})
"""Errors whose causes show in counters that rise."""

FOR_PORTS = frozenset({"EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"})
"""Errors of want of a port."""

FOR_FILES = frozenset({"EMFILE", "ENFILE"})


class Asked(NamedTuple):
    """A question, its names resolved."""

    question: ExplainQuestion
    remotes: tuple[Endpoint, ...]
    local: str | None

    def about(self, errors: frozenset[str]) -> bool:
        """Say whether the question is about one of these errors, or about any."""
        return self.question.error is None or self.question.error in errors


def explain(asked: ExplainQuestion, source: Source) -> Explanation:
    """
    Say why something fails, or would fail: every cause of the error, judged by evidence.

    Args:
        asked: What fails. With a process it is looked at from inside its namespace.
        source: The kernel, in some namespace, or a saved Snapshot.

    Raises:
        InvalidRequestError: The question cannot be asked so, or the process or
            the namespace does not exist.
        NotPermittedError: The namespace may not be entered.
    """
    _check(asked, source)
    resolved = _resolved(asked)
    if isinstance(source, Saved):
        keys, gaps = _found_keys(source.snapshot, resolved)
        return _answer(
            resolved, Scene(read=source.snapshot, keys=_as_keys(source.snapshot, keys)), gaps
        )
    here = namespaces.identify()
    seat = source if asked.pid is None else Live(namespaces.find(str(asked.pid)))
    return seat.run(lambda: _explained(resolved, seat, here))


def _check(asked: ExplainQuestion, source: Source) -> None:
    """Refuse what cannot be asked, or not together."""
    if asked.error is not None and asked.error not in ERRORS:
        raise InvalidRequestError(
            f"{asked.error!r} is no error that explain knows.", f"It knows {', '.join(ERRORS)}."
        )
    if asked.pid is not None and not (isinstance(source, Live) and source.netns is None):
        raise InvalidRequestError(
            "--pid looks into the namespace of that process itself.",
            "Leave out --netns and --snapshot.",
        )


def _resolved(asked: ExplainQuestion) -> Asked:
    """Return a question with its names resolved; names are those of the caller's host."""
    remotes: tuple[Endpoint, ...] = ()
    if asked.remote is not None:
        remotes = find_remotes(asked.remote, asked.protocol or Protocol.TCP)
        if not all(remote.port for remote in remotes):
            raise InvalidRequestError(
                f"--remote: {asked.remote!r} has no port.", "Write ADDRESS:PORT."
            )
    return Asked(asked, remotes, check_local(asked.from_address, remotes))


def _explained(asked: Asked, source: Live, here: NetnsId) -> Explanation:
    """Read the scene in the namespace of the calling thread, and judge."""
    before = reading.pulse()
    routes = tuple((remote.address, asked.local) for remote in asked.remotes)
    read = source.take(Wanted(groups=True, routes=routes))
    keys, gaps = _found_keys(read, asked)
    probed: Probed | None = None
    if asked.question.probe and asked.about(frozenset({"EADDRNOTAVAIL"})):
        keys, probed, refused = _probed(read, keys)
        gaps += refused
        if not asked.remotes:
            probed, refused = _probed_for_all(read, probed)
            gaps += refused
    read = _with_owners(read, keys, asked)
    if asked.about(frozenset({"ETIMEDOUT"})):
        listening = RowsQuery((Protocol.TCP,), frozenset({TcpState.LISTEN}))
        read = reading.with_rows(read, listening)
    judged = _as_keys(read, keys)
    scene = _question_parts(Scene(read=read, keys=judged, probed=probed, here=here), asked)
    scene = _system_parts(scene, asked)
    wait_s = WATCH_S if asked.question.error in ON_THE_PATH else 0.0
    after = reading.later_pulse(before, wait_s)
    return _answer(asked, msgspec.structs.replace(scene, before=before, after=after), gaps)


# Keys.


def _searches(asked: Asked) -> list[KeysWanted]:
    """Return which keys are to be judged: those of the operations that give the error."""
    question = asked.question
    udp_only = question.protocol is Protocol.UDP
    found = []
    if not udp_only and asked.about(frozenset({"EADDRNOTAVAIL"}) | ON_THE_PATH):
        remotes, local = asked.remotes, asked.local
        found.append(KeysWanted(Protocol.TCP, Operation.CONNECT, remotes, local, TIGHTEST))
    if asked.about(frozenset({"EADDRINUSE"})):
        protocol = question.protocol or Protocol.TCP
        found.append(KeysWanted(protocol, Operation.BIND0, (), asked.local, TIGHTEST))
    if question.protocol is not Protocol.TCP and asked.about(frozenset({"EAGAIN"})):
        remotes, local = asked.remotes, asked.local
        found.append(KeysWanted(Protocol.UDP, Operation.CONNECT, remotes, local, TIGHTEST))
    return found


def _found_keys(read: Snapshot, asked: Asked) -> tuple[Keys, tuple[Gap, ...]]:
    """Return the keys to judge, and why some are missing."""
    found = [find_keys(read, wanted) for wanted in _searches(asked)]
    measured = tuple(one for keys in found for one in keys.measured)
    gaps = tuple(dict.fromkeys(gap for keys in found for gap in keys.gaps))
    return Keys(measured, sum(keys.total for keys in found)), gaps


def _probed(read: Snapshot, keys: Keys) -> tuple[Keys, Probed | None, tuple[Gap, ...]]:
    """
    Return the keys after the kernel settled those that may be exhausted.

    What the probe was refused is a Gap.
    """
    settings = read.settings
    if isinstance(settings, Gap):
        return keys, None, ()
    free: set[int] = set()
    held: set[int] = set()
    for doubt in doubts(read, keys.measured):
        key = as_key(doubt.measured)
        if key.free_ports >= SPARE_PORTS:
            continue
        remote = Endpoint(key.remote_address or "", key.remote_port or 0)
        try:
            said = probe(remote, key.local_address, sorted(doubt.ports), enough=SPARE_PORTS)
        except (NotSupportedError, InvalidRequestError) as error:
            return keys, None, (Gap("probe", error.message, ("causes",)),)
        keys = settle(keys, doubt.measured.id, said.free, said.held, settings)
        free |= said.free
        held |= said.held
    return keys, Probed(free=PortSet.of(free), held=PortSet.of(held)), ()


def _probed_for_all(read: Snapshot, probed: Probed | None) -> tuple[Probed | None, tuple[Gap, ...]]:
    """
    Return what the kernel says of a destination that nobody is connected to.

    It is asked where no port is surely free for such a one, up to the second free port.
    """
    settings, groups = read.settings, read.groups
    if isinstance(settings, Gap) or isinstance(groups, Gap):
        return probed, ()
    shared = buckets(within(groups, settings.ephemeral), settings, read.features)
    surely_free = len(shared.open_ports) - len(shared.doubtful)
    if surely_free >= SPARE_PORTS or not shared.doubtful:
        return probed, ()
    try:
        said = probe(NOBODY, NOBODY.address, sorted(shared.doubtful), enough=SPARE_PORTS)
    except (NotSupportedError, InvalidRequestError) as error:
        return probed, (Gap("probe", error.message, ("causes",)),)
    known = probed or Probed()
    return (
        Probed(
            free=PortSet.of((*known.free, *said.free)),
            held=known.held,
            blocked=PortSet.of(said.held),
        ),
        (),
    )


def _with_owners(read: Snapshot, keys: Keys, asked: Asked) -> Snapshot:
    """Return a Snapshot with the owners of some keys, and of what may be in everybody's way."""
    settings, counters = read.settings, read.counters
    if isinstance(settings, Gap) or isinstance(counters, Gap):
        return read
    measured = keys.measured
    if asked.about(frozenset({"EADDRNOTAVAIL"})):
        measured += find_keys(read, KeysWanted(Protocol.TCP, Operation.BIND0, (), ANY)).measured
    if not any(one.states for one in measured):
        return read
    if counters.tcp_inuse + counters.tcp6_inuse > OWNERS_UP_TO:
        reason = (
            f"{NOT_LOOKED_AT}: more than {OWNERS_UP_TO:,} sockets, see portroom headroom --owners"
        )
        return msgspec.structs.replace(read, owners=Gap("owners", reason, ("keys.owners",)))
    owners = read_key_owners(measured, settings.ephemeral, read.netns)
    return msgspec.structs.replace(read, owners=owners)


def _as_keys(read: Snapshot, keys: Keys) -> tuple[Key, ...]:
    """Return keys as answers have them."""
    known = owners_by_key(read.owners)
    return tuple(
        as_key(one, known.get((one.id.protocol.value, one.id.group_key, one.id.family), ()))
        for one in keys.measured
    )


# What else there is to see.


def _question_parts(scene: Scene, asked: Asked) -> Scene:
    """Return a scene with what was read about the remote, the local end and the process."""
    question = asked.question
    process = None
    if question.pid is not None:
        process = read_process(question.pid)
    changes = msgspec.structs.replace(
        scene,
        reached=reading.or_gap(
            "route",
            lambda: tuple(read_reached(remote, asked.local) for remote in asked.remotes),
            "causes",
        ),
        address=None if asked.local is None else read_address(asked.local),
        process=process,
    )
    if not question.from_port:
        return changes
    protocol = question.protocol or Protocol.TCP
    holdings = reading.or_gap(
        "sock_diag",
        lambda: read_holdings(protocol, question.from_port, asked.local),
        "causes",
    )
    return msgspec.structs.replace(changes, holdings=holdings)


def _system_parts(scene: Scene, asked: Asked) -> Scene:
    """Return a scene with the limits and tables that the error may come from."""
    owners = [*reading.owners_of(scene.read)]
    if scene.process is not None and not isinstance(scene.process, Gap):
        owners.append(scene.process.owner)
    changes = msgspec.structs.replace(scene, around=reading.limits(owners))
    if scene.process is not None:
        changes = msgspec.structs.replace(changes, ranges=System().ranges())
    if asked.about(frozenset({"ETIMEDOUT"})):
        changes = msgspec.structs.replace(changes, translations=read_translations(TRANSLATIONS))
    if asked.about(frozenset({"EAGAIN"})):
        changes = msgspec.structs.replace(changes, backlogs=read_backlogs(TIGHTEST))
    if asked.about(FOR_FILES):
        files = reading.or_gap("file-nr", read_system_files, "causes")
        changes = msgspec.structs.replace(changes, files=files)
    if asked.about(FOR_PORTS) and not any(key.exhausted for key in scene.keys):
        elsewhere = reading.or_gap("namespaces", lambda: read_elsewhere(asked.remotes), "causes")
        changes = msgspec.structs.replace(changes, elsewhere=elsewhere)
    return changes


# The answer.


def _answer(asked: Asked, scene: Scene, gaps: Sequence[Gap]) -> Explanation:
    """Return the answer: what the causes are, judged on a scene."""
    question = asked.question
    causes = judge(question, scene)
    remote = asked.remotes[0] if asked.remotes else None
    process = scene.process if scene.process and not isinstance(scene.process, Gap) else None
    return Explanation(
        host=scene.read.host,
        taken_at=scene.read.taken_at,
        netns=scene.read.netns,
        gaps=(*scene.read.gaps, *gaps, *scene.around.gaps),
        error=question.error,
        errno=None if question.error is None else ERRORS[question.error],
        protocol=question.protocol.value if question.protocol else None,
        remote_address=remote.address if remote else None,
        remote_port=remote.port if remote else None,
        local_address=asked.local,
        local_port=question.from_port or None,
        process=process.owner if process else None,
        found=_names(causes),
        causes=causes,
        keys=scene.keys,
    )


def _names(causes: Sequence[Cause]) -> tuple[str, ...]:
    """Return the names of the causes that are found."""
    return tuple(cause.name for cause in causes if cause.verdict == FOUND)
