"""Explain: why a connect, bind, listen or send fails. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from portroom.api import scene as reading
from portroom.api.endpoints import check_local, find_remotes
from portroom.api.explain_keys import (
    FOR_FILES,
    NO_PORT,
    ON_THE_PATH,
    Asked,
    as_keys,
    found_keys,
    settled,
    with_owners,
)
from portroom.api.source import Live, Saved, Source, System
from portroom.errors import InvalidRequestError
from portroom.kernel import namespaces
from portroom.kernel.addresses import read_address
from portroom.kernel.conntrack import read_translations
from portroom.kernel.elsewhere import read_elsewhere
from portroom.kernel.holdings import read_holdings
from portroom.kernel.process_seen import read_process
from portroom.kernel.reached import read_reached
from portroom.kernel.rows import RowsQuery
from portroom.kernel.snapshot import Wanted
from portroom.kernel.system_files import read_system_files
from portroom.kernel.unix_sockets import read_backlogs
from portroom.model.advice.causes.namespace import other_is_possible
from portroom.model.advice.explain import explain as judge
from portroom.model.facts.explanation import ERRORS, FOUND, Cause, ExplainQuestion, Explanation
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Probed, Scene
from portroom.model.facts.snapshot import NetnsId, Snapshot
from portroom.model.facts.sockets import Endpoint, Protocol, TcpState
from portroom.model.laws.ownership import unread
from portroom.model.laws.untold import untold

__all__ = ["ON_THE_PATH", "WATCH_S", "explain"]

TRANSLATIONS = 1_000
"""Remote endpoints that this host translates to, the fullest first."""

BACKLOGS = 20
"""Unix sockets, those with the fullest backlog first."""

WATCH_S = 1.0
"""Seconds between two readings of counters, for what shows in nothing else."""

FOR_PORTS = frozenset({"EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"})
"""Errors of want of a port."""


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
        keys, gaps = found_keys(source.snapshot, resolved)
        gaps += untold(source.snapshot.features, keys.measured)
        scene = Scene(read=source.snapshot, keys=as_keys(source.snapshot, keys))
        return _without_commands(_answer(resolved, scene, gaps))
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
    routes = tuple((remote.address, asked.source) for remote in asked.remotes)
    read = source.take(Wanted(groups=True, routes=routes))
    keys, gaps = found_keys(read, asked)
    probed: Probed | None = None
    if asked.question.probe and asked.about(NO_PORT):
        keys, probed, refused = settled(read, keys, asked)
        gaps += refused
    gaps += untold(read.features, keys.measured)
    read = with_owners(read, keys, asked)
    if asked.about(frozenset({"ETIMEDOUT"})):
        listening = RowsQuery((Protocol.TCP,), frozenset({TcpState.LISTEN}))
        read = reading.with_rows(read, listening)
    judged = as_keys(read, keys)
    scene = _question_parts(Scene(read=read, keys=judged, probed=probed, here=here), asked)
    scene = _system_parts(scene, asked)
    wait_s = WATCH_S if asked.question.error in ON_THE_PATH else 0.0
    after = reading.later_pulse(before, wait_s)
    return _answer(asked, msgspec.structs.replace(scene, before=before, after=after), gaps)


def _without_commands(answer: Explanation) -> Explanation:
    """Return an answer from a file: commands would ask the kernel of another moment, or host."""
    causes = tuple(msgspec.structs.replace(one, command="") for one in answer.causes)
    return msgspec.structs.replace(answer, causes=causes)


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
        changes = msgspec.structs.replace(changes, backlogs=read_backlogs(BACKLOGS))
    if asked.about(FOR_FILES):
        files = reading.or_gap("file-nr", read_system_files, "causes")
        changes = msgspec.structs.replace(changes, files=files)
    if asked.about(FOR_PORTS) and other_is_possible(asked.question, changes):
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
        gaps=(
            *scene.read.gaps,
            *_still_missed(gaps, scene),
            *_unowned(scene.read),
            *scene.around.gaps,
        ),
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


def _still_missed(gaps: Sequence[Gap], scene: Scene) -> list[Gap]:
    """Return the gaps but for a route that connect() is known to refuse: a cause tells it."""
    decided = not isinstance(scene.reached, Gap) and any(one.error for one in scene.reached)
    return [gap for gap in gaps if not (decided and gap.source == "route")]


def _unowned(read: Snapshot) -> tuple[Gap, ...]:
    """Return that owners of some sockets could not be read, where that is so."""
    gap = None if isinstance(read.owners, Gap) else unread(read.owners, "keys.owners", "causes")
    return () if gap is None else (gap,)


def _names(causes: Sequence[Cause]) -> tuple[str, ...]:
    """Return the names of the causes that are found."""
    return tuple(cause.name for cause in causes if cause.verdict == FOUND)
