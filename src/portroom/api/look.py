"""Look: how many more connections fit, and what is in use. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from portroom.api.endpoints import check_local, find_remotes
from portroom.api.source import Live, Saved, Source
from portroom.errors import InvalidRequestError
from portroom.kernel import snapshot as reading
from portroom.kernel.snapshot import KEY_OWNERS_UP_TO, Wanted, take
from portroom.model.facts.answers import Headroom, Key, Status
from portroom.model.facts.questions import HeadroomQuestion
from portroom.model.facts.snapshot import (
    NOT_LOOKED_AT,
    Gap,
    NetnsId,
    Snapshot,
)
from portroom.model.facts.sockets import Endpoint, Operation, Protocol
from portroom.model.laws.headroom import (
    Keys,
    KeysWanted,
    as_key,
    find_keys,
    owners_by_key,
)
from portroom.model.laws.ownership import unread
from portroom.model.laws.range_use import range_use
from portroom.model.laws.summary import states_gap, summary

__all__ = ["Live", "Saved", "Source", "headroom", "status", "take_all"]

TIGHTEST = 5
"""Keys on the status screen."""

OWNERS_UP_TO = 5_000
"""Sockets in use up to which headroom looks for owners unasked: the walk costs."""

SAVED_OWNERS_UP_TO = 50_000
"""Sockets whose owners a saved Snapshot keeps for every key."""


def headroom(question: HeadroomQuestion, source: Source) -> Headroom:
    """
    Say how many more connections fit, the tightest key first.

    Args:
        question: Which keys, and how exactly.
        source: The kernel or a saved Snapshot.

    Raises:
        InvalidRequestError: The question cannot be asked so, or there is no
            connection to an address without a port.
        NotSupportedError: The probe is wanted and this kernel has none.
        NotPermittedError: The namespace may not be entered.
    """
    _check(question, source)
    wanted = _wanted(question)
    if isinstance(source, Saved):
        keys = find_keys(source.snapshot, wanted)
        _refuse_nothing(question, keys)
        return _answer(source.snapshot, keys, question.owners)

    def job() -> Headroom:
        """Read and answer inside the namespace."""
        read = source.take(_parts(question, wanted))
        keys = find_keys(read, wanted)
        _refuse_nothing(question, keys)
        if question.probe:
            from portroom.api.probing import probed  # costs start-up

            keys = probed(read, keys, question)
        read = _with_owners(read, keys, question.owners)
        return _answer(read, keys, question.owners)

    return source.run(job)


def status(source: Source) -> Status:
    """
    Say on one screen how a namespace stands.

    Raises:
        NotPermittedError: The namespace may not be entered.
    """
    wanted = KeysWanted(limit=TIGHTEST)
    if isinstance(source, Saved):
        return _status(source.snapshot, find_keys(source.snapshot, wanted))

    def job() -> Status:
        """Read and answer inside the namespace."""
        # The sysctl files reach the host's own namespace alone.
        boots_here = source.known is None or source.known.kind == "host"
        read = source.take(Wanted(groups=True, all_ports=True, boot=boots_here))
        keys = find_keys(read, wanted)
        return _status(_with_owners(read, keys, None, KEY_OWNERS_UP_TO), keys)

    return source.run(job)


def take_all(known: NetnsId | None = None) -> Snapshot:
    """
    Take a Snapshot of the thread's namespace for all but single sessions.

    Owners are kept for every key, or for the tightest where there are more
    than SAVED_OWNERS_UP_TO sockets.

    Args:
        known: What the namespace is known as; None to find out.
    """
    read = take(Wanted(groups=True, all_ports=True, boot=True), known)
    every = find_keys(read, KeysWanted())
    if _sockets(every) > SAVED_OWNERS_UP_TO:
        every = Keys(every.measured[: HeadroomQuestion().limit], every.total)
    bind0 = find_keys(read, KeysWanted(operation=Operation.BIND0))
    keys = Keys(every.measured + bind0.measured, every.total + bind0.total)
    return _with_owners(read, keys, True)


def _check(question: HeadroomQuestion, source: Source) -> None:
    """Refuse what cannot be asked together."""
    if not question.probe:
        if question.probe_last:
            raise InvalidRequestError("--probe-last goes with --probe.")
        return
    if isinstance(source, Saved):
        raise InvalidRequestError(
            "A saved Snapshot cannot be probed: only a running kernel answers --probe.",
            "Leave out --probe or --snapshot.",
        )
    if question.protocol is Protocol.UDP or question.operation is not Operation.CONNECT:
        raise InvalidRequestError(
            "--probe asks for TCP connect only.",
            "UDP and bind0 have no 4-tuple; their doubt is small.",
        )


def _wanted(question: HeadroomQuestion) -> KeysWanted:
    """Return the keys that a question is about, its names resolved."""
    remotes: tuple[Endpoint, ...] = ()
    protocol = question.protocol
    if question.operation is Operation.BIND0 and question.address is not None:
        raise InvalidRequestError(
            f"bind0 has no destination, got {question.address!r}.",
            "Name the local address with --from.",
        )
    if question.address is not None:
        protocol = protocol or Protocol.TCP
        remotes = find_remotes(question.address, protocol)
    return KeysWanted(
        protocol,
        question.operation,
        remotes,
        check_local(question.from_address, remotes),
        question.limit,
    )


def _parts(question: HeadroomQuestion, wanted: KeysWanted) -> Wanted:
    """Return what has to be read for a question."""
    needs_route = wanted.protocol is not Protocol.UDP and wanted.from_address is None
    routes = tuple((one.address, None) for one in wanted.remotes if one.port)
    return Wanted(
        groups=True,
        routes=routes if needs_route else (),
        threads=question.threads,
    )


def _refuse_nothing(question: HeadroomQuestion, keys: Keys) -> None:
    """Refuse an address without a port to which nothing is connected."""
    if question.address is not None and not keys.measured and not keys.gaps:
        raise InvalidRequestError(
            f"Nothing is connected to {question.address!r}.",
            "Give ADDRESS:PORT to ask about a destination without a connection.",
        )


def _sockets(keys: Keys) -> int:
    """Return how many sockets stand behind some keys."""
    return sum(sum(one.states.values()) for one in keys.measured)


def _wants_owners(read: Snapshot, keys: Keys, asked: bool | None, most: int) -> bool:
    """Say whether owners are looked for: as asked, else if few sockets are in use."""
    if asked is not None:
        return asked
    counters = read.counters
    if isinstance(counters, Gap):
        return _sockets(keys) <= most
    return counters.tcp_inuse + counters.tcp6_inuse <= most


def _with_owners(
    read: Snapshot, keys: Keys, asked: bool | None, most: int = OWNERS_UP_TO
) -> Snapshot:
    """Return a Snapshot with the owners of some keys."""
    settings = read.settings
    if (
        isinstance(settings, Gap)
        or not _sockets(keys)
        or not _wants_owners(read, keys, asked, most)
    ):
        return read
    owners = reading.read_key_owners(keys.measured, settings.ephemeral, read.netns)
    return msgspec.structs.replace(read, owners=owners)


def _owners_gaps(
    read: Snapshot, keys: Keys, asked: bool | None, most: int = OWNERS_UP_TO
) -> tuple[Gap, ...]:
    """Return why the owners of some keys are not there."""
    if not _sockets(keys):
        return ()
    if not _wants_owners(read, keys, asked, most):
        hint = f": {_sockets(keys)} sockets, add --owners" if asked is None else ""
        return (Gap("owners", NOT_LOOKED_AT + hint, ("keys.owners",)),)
    gap = unread(read.owners, "keys.owners")
    return () if gap is None else (gap,)


def _keys(
    read: Snapshot, keys: Keys, asked: bool | None, most: int = OWNERS_UP_TO
) -> tuple[Key, ...]:
    """Return the keys as answers have them, with owners if they are wanted."""
    known = owners_by_key(read.owners) if _wants_owners(read, keys, asked, most) else {}
    return tuple(
        as_key(one, known.get((one.id.protocol.value, one.id.group_key, one.id.family), ()))
        for one in keys.measured
    )


def _answer(read: Snapshot, keys: Keys, asked: bool | None) -> Headroom:
    """Return the Headroom of some keys."""
    return Headroom(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        gaps=read.gaps + keys.gaps + _owners_gaps(read, keys, asked),
        keys=_keys(read, keys, asked),
        keys_total=keys.total,
        keys_omitted=keys.total - len(keys.measured),
    )


def _status(read: Snapshot, keys: Keys) -> Status:
    """Return the Status of a namespace."""
    from portroom.model.advice.doctor import diagnose  # cost start-up
    from portroom.model.facts.scene import Scene
    from portroom.model.laws import drift

    sessions = summary(read.counters, read.groups)
    ahead = drift.prospects(read, drift.decided_here(read))
    missing = states_gap(read.groups)
    gaps = read.gaps + keys.gaps + _owners_gaps(read, keys, None, KEY_OWNERS_UP_TO)
    gaps += tuple(gap for gap in (sessions, missing) if isinstance(gap, Gap))
    tight = _keys(read, keys, None, KEY_OWNERS_UP_TO)
    found = diagnose(Scene(read=read, keys=tight))
    return Status(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        gaps=(*gaps, *_of_drift(ahead.gaps), *_unchecked(found.unchecked)),
        range=range_use(read.settings),
        tightest=tight,
        keys_total=keys.total,
        sessions=None if isinstance(sessions, Gap) else sessions,
        drift=() if isinstance(read.settings, Gap) else drift.drifts(ahead, read.settings),
        findings=found.findings,
        boot_conflicts=drift.conflicts(ahead),
    )


def _unchecked(rules: Sequence[str]) -> Iterator[Gap]:
    """
    Yield that some rules need more than this screen reads.

    How many differs between namespaces, so no number is told: one sentence is for all.
    """
    if rules:
        hint = f"{NOT_LOOKED_AT}: some rules need more, see portroom doctor"
        yield Gap("findings", hint, ("findings",))


def _of_drift(gaps: Sequence[Gap]) -> Iterator[Gap]:
    """Yield why drift is not known, each reason once."""
    for gap in gaps:
        yield Gap(gap.source, gap.reason, ("drift", "boot_conflicts"))
