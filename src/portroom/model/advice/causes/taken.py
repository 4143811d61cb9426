"""A named port that somebody has: a listener or bound socket, or an outgoing connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from portroom.model.advice.causes.table import IN_USE, Advice, found, possible, ruled_out, unknown
from portroom.model.advice.causes.words import (
    UNSEEN_WORDS,
    command,
    count,
    gap_words,
    listed,
    owner_words,
    states_words,
    up_to,
)
from portroom.model.advice.refusals import FEW_PORTS
from portroom.model.facts.explanation import Cause, ExplainQuestion
from portroom.model.facts.gaps import Gap, part_or_none
from portroom.model.facts.scene import Holding, Scene
from portroom.model.facts.snapshot import Settings
from portroom.model.facts.sockets import Owner, Protocol, is_wildcard, packed_address
from portroom.model.laws.overlap import overlaps
from portroom.model.laws.selection import may_choose, went_out
from portroom.model.laws.unseen import unseen_sockets

TAKEN, OUTGOING = "port_taken", "port_held_by_outgoing"

LISTENING = "LISTEN"

SERVING = frozenset({LISTENING, "BOUND_INACTIVE", "CLOSE"})
"""States in which a socket is in the way of SO_REUSEADDR as well; CLOSE is UDP."""

CONNECTED_FROM_WILDCARD = (
    "A listener's SO_REUSEADDR does not help against a live connection that lacks it."
)


def port_taken(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether a listener, a bound socket or what they left has the port."""
    if early := _undecided(TAKEN, asked, scene):
        return early
    sure, maybe = _in_the_way(asked, scene, outgoing=False)
    port = asked.from_port
    words = command(scene, "sessions", "--local", f":{port}")
    numbers = {"port": port, "sockets": len(sure or maybe)}
    if not sure and not maybe:
        return _nobody_seen(asked, scene)
    advice = Advice(_taken_remedy(sure or maybe), words)
    if sure and (asked.error is not None or any(one.state in SERVING for one in sure)):
        return found(TAKEN, _held(asked, sure), advice, numbers)
    if sure:
        text = f"{_held(asked, sure)} A server with SO_REUSEADDR starts all the same."
        return possible(TAKEN, text, advice, numbers)
    text = f"{_held(asked, maybe)} Whether that is in the way, the kernel does not tell: it may "
    text += "be for IPv6 alone."
    return possible(TAKEN, text, advice, numbers)


def _nobody_seen(asked: ExplainQuestion, scene: Scene) -> Cause:
    """Return the verdict where no socket that is listed has the port."""
    unseen = 0 if asked.protocol is Protocol.UDP else unseen_sockets(scene.read)
    if not unseen:
        return ruled_out(
            TAKEN, f"No listener and no bound socket is in the way of {_where(asked)}."
        )
    return unknown(
        TAKEN,
        f"No listener is in the way of {_where(asked)}. {UNSEEN_WORDS}, and {up_to(unseen)}: one "
        "of them may have the port.",
    )


def port_held_by_outgoing(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether an outgoing connection, or its TIME_WAIT, was given the port."""
    if early := _undecided(OUTGOING, asked, scene):
        return early
    sure, maybe = _in_the_way(asked, scene, outgoing=True)
    port = asked.from_port
    numbers = {"port": port, "sockets": len(sure or maybe)}
    if not sure and not maybe:
        return ruled_out(OUTGOING, f"No outgoing connection is in the way of {_where(asked)}.")
    advice = _keep_free(port, sure or maybe, scene)
    if sure:
        return found(OUTGOING, _held(asked, sure), advice, numbers)
    text = f"{_held(asked, maybe)} Whether that is in the way, the kernel does not tell."
    return possible(OUTGOING, text, advice, numbers)


def _undecided(name: str, asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Return the verdict where no port is named, or its sockets are not known."""
    if not asked.from_port:
        return unknown(
            name,
            "No local port was named: a port that somebody has is looked for by its number.",
            command(scene, "explain", IN_USE, "--from", "ADDRESS:PORT"),
        )
    if scene.address is not None and scene.address.error:
        return ruled_out(
            name, f"bind() to {scene.address.address} fails before, with {scene.address.error}."
        )
    if isinstance(scene.holdings, Gap):
        return unknown(
            name,
            f"The sockets on port {asked.from_port} could not be read: {gap_words(scene.holdings)}.",
        )
    return None


def _in_the_way(
    asked: ExplainQuestion, scene: Scene, *, outgoing: bool
) -> tuple[list[Holding], list[Holding]]:
    """Return the sockets of one kind that are surely in the way, and those that may be."""
    assert not isinstance(scene.holdings, Gap)
    protocol = asked.protocol or Protocol.TCP
    there = [one for one in scene.holdings if one.protocol is protocol]
    listened = any(one.state == LISTENING for one in there)
    sure: list[Holding] = []
    maybe: list[Holding] = []
    for one in there:
        if _is_outgoing(one, asked.from_port, scene, listened=listened) is outgoing:
            overlap = _overlap(asked, one)
            if overlap is not False:
                (maybe if overlap is None else sure).append(one)
    return sure, maybe


def _is_outgoing(one: Holding, port: int, scene: Scene, *, listened: bool) -> bool:
    """Say whether a socket connected out; one without a remote did not."""
    if one.remote is None:
        return bool(one.outgoing)
    return went_out(one.outgoing, choosable=_may_choose(port, scene), listened=listened)


def _overlap(asked: ExplainQuestion, one: Holding) -> bool | None:
    """
    Say whether a socket is in the way of the address asked for.

    Any is 0.0.0.0 or ``::``, and what is in the way of one of them alone is in doubt.
    """
    if asked.from_address is None:
        both = {_overlap_of(address, one) for address in ("0.0.0.0", "::")}  # noqa: S104 - nothing is bound
        return both.pop() if len(both) == 1 else None
    return _overlap_of(asked.from_address, one)


def _overlap_of(wanted_address: str, one: Holding) -> bool | None:
    """Say whether a socket is in the way of one address."""
    family, owner = packed_address(one.local.address)
    wanted, address = packed_address(wanted_address)
    v6only = one.v6only
    if v6only is None and one.remote is None and not is_wildcard(owner):
        v6only = True  # A specific IPv6 address that is bound never reaches IPv4.
    return overlaps(wanted, address, family, owner, v6only)


def _where(asked: ExplainQuestion) -> str:
    """Return the port that is wanted, and on which address."""
    protocol = (asked.protocol or Protocol.TCP).value.upper()
    address = asked.from_address
    return f"{protocol} port {asked.from_port}" + (f" on {address}" if address else "")


def _held(asked: ExplainQuestion, sockets: Sequence[Holding]) -> str:
    """Return who holds the port, by state, with where they go and whose they are."""
    states = Counter(one.state for one in sockets)
    text = f"{_where(asked)} is held by {count(len(sockets), 'socket')}: {states_words(states)}"
    locals_ = list(dict.fromkeys(str(one.local) for one in sockets))
    text += f", on {listed(locals_)}"
    remotes = list(dict.fromkeys(str(one.remote) for one in sockets if one.remote))
    if remotes:
        text += f", to {listed(remotes)}"
    owners: dict[tuple[int, int], Owner] = {
        (owner.pid, owner.start_time): owner for one in sockets for owner in one.owners
    }
    names = [owner_words(owner) for owner in owners.values()]
    return f"{text}; by {listed(names)}." if names else f"{text}."


def _taken_remedy(sockets: Sequence[Holding]) -> str:
    """Return what to do about a port that somebody serves on, or did."""
    if any(one.state == LISTENING for one in sockets):
        return (
            "Stop that program, or use another port or address. Two programs share a port only "
            "if both set SO_REUSEPORT before bind(), as the same user."
        )
    if all(one.state == "TIME_WAIT" for one in sockets):
        return (
            "A server that set SO_REUSEADDR before bind() starts at once; without it, it waits up "
            "to 60 seconds until the last TIME_WAIT is over."
        )
    return (
        "Let the old connections end, or their program; a server that sets SO_REUSEADDR before "
        "bind() starts beside connections that were accepted with it."
    )


def _keep_free(port: int, sockets: Sequence[Holding], scene: Scene) -> Advice:
    """Return what to do about a port that an outgoing connection has, however it got it."""
    ended = all(one.state == "TIME_WAIT" for one in sockets)
    now = "It is over in at most 60 seconds." if ended else "End that connection."
    if not _may_choose(port, scene):
        return Advice(
            f"{now} The kernel does not choose {port}: the program named it itself, with bind(). "
            "Let it leave the choice to the kernel, or name another port.",
            command(scene, "sessions", "--local", f":{port}"),
        )
    return Advice(
        f"{now} So that it does not happen again, reserve the port, or use one outside of the "
        f"range: the kernel chose it. {CONNECTED_FROM_WILDCARD}",
        command(scene, "set", f"reserved+={port}", *_reserve_options(scene), "--dry-run"),
    )


def _reserve_options(scene: Scene) -> Iterator[str]:
    """Yield what the command that reserves a port needs, so as not to be refused."""
    settings = scene.read.settings
    if scene.read.netns.kind == "host":
        yield "--persist"  # boot files reach the host's namespace alone
    if isinstance(settings, Settings):
        reserved = len(settings.reserved.within(settings.ephemeral))
        if settings.ephemeral.ports - reserved <= FEW_PORTS:
            yield "--force"


def _may_choose(port: int, scene: Scene) -> bool:
    """Say whether the kernel may choose a port by itself, as far as the range is known."""
    settings = part_or_none(scene.read.settings)
    return settings is None or may_choose(port, settings)
