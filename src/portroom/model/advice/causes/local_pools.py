"""Pools without a destination: bind() to port 0, and every UDP socket."""

from __future__ import annotations

from portroom.model.advice.causes.pools import NEAR_FULL_RATIO, local_keys, no_search, unread
from portroom.model.advice.causes.table import (
    AGAIN,
    IN_USE,
    Advice,
    found,
    possible,
    ruled_out,
    unknown,
)
from portroom.model.advice.causes.words import (
    UNSEEN_WORDS,
    are,
    command,
    count,
    every,
    gap_words,
    owners_words,
    states_words,
    up_to,
)
from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import Cause, ExplainQuestion
from portroom.model.facts.scene import Scene
from portroom.model.facts.sockets import Operation, Protocol, is_wildcard, packed_address
from portroom.model.laws.unseen import unseen_sockets

BIND0, UDP = "bind0_pool_full", "udp_pool_full"

NOT_BOUND_FIRST = (
    "A program that connects out should not take a port with bind(): let it set "
    "IP_BIND_ADDRESS_NO_PORT before bind(), or not bind at all. Then ports are counted for each "
    "destination. A service should listen on a port outside the range; more local addresses "
    "have as many ports again."
)

FEWER_SOCKETS = (
    "A UDP socket holds its port for all destinations: let the program use one socket for many "
    "of them, or many requests on one. More local addresses have as many ports again; so does "
    "a wider range."
)


def bind0_pool_full(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether bind() to port 0, or listen() without bind(), finds a TCP port."""
    if asked.protocol is Protocol.UDP:
        return None
    return _judged(BIND0, asked, scene, Protocol.TCP, Operation.BIND0, NOT_BOUND_FIRST)


def udp_pool_full(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether a UDP socket finds a port; its destination does not matter."""
    if asked.protocol is Protocol.TCP:
        return None
    operation = Operation.BIND0 if asked.error == IN_USE else Operation.CONNECT
    return _judged(UDP, asked, scene, Protocol.UDP, operation, FEWER_SOCKETS)


def _judged(
    name: str,
    asked: ExplainQuestion,
    scene: Scene,
    protocol: Protocol,
    operation: Operation,
    remedy: str,
) -> Cause:
    """Return the verdict about the fullest pool of one kind."""
    if reason := no_search(asked, scene):
        return ruled_out(name, reason)
    gap = unread(scene)
    if gap is not None:
        text = f"The sockets and settings could not be read ({gap.source}): {gap_words(gap)}."
        return unknown(name, text)
    keys = local_keys(asked, scene, protocol, operation)
    if not keys:
        return ruled_out(name, f"No {protocol.value.upper()} socket holds a port.")
    words = command(scene, "sessions", "--proto", protocol.value, *_place(keys[0]))
    advice, doubt = Advice(remedy, words), _doubt(keys[0], scene)
    return _of_key(name, keys[0], advice, doubt, burst=asked.error is not None)


def _doubt(key: Key, scene: Scene) -> str:
    """Return of how many ports the kernel does not tell, and of which sockets."""
    text = f"Of {count(key.doubtful_ports, 'port')} the kernel does not tell."
    unseen = unseen_sockets(scene.read) if key.protocol == Protocol.TCP.value else 0
    return f"{text} {UNSEEN_WORDS}, and {up_to(unseen)}." if unseen else text


def _of_key(name: str, key: Key, advice: Advice, doubt: str, *, burst: bool) -> Cause:
    """
    Return the verdict about one pool.

    Args:
        name: Of the cause.
        key: The pool.
        advice: What to do if it is the cause.
        doubt: What the kernel does not tell of it.
        burst: Whether something failed, maybe a moment ago.
    """
    figures = {
        "eligible_ports": key.eligible_ports,
        "held_ports": key.held_ports,
        "doubtful_ports": key.doubtful_ports,
        "free_ports": key.free_ports,
    }
    if not key.eligible_ports:
        return ruled_out(name, "Every port of the range is reserved: there is none to be held.")
    if key.exhausted:
        return found(name, _full(key), advice, figures)
    if not key.free_ports:
        return possible(name, f"{_full(key)} {doubt}", advice, figures)
    if burst and key.held_ports >= NEAR_FULL_RATIO * key.eligible_ports:
        return possible(name, f"{_full(key)} A burst takes the rest.", advice, figures)
    return ruled_out(name, _has_free(key), figures)


def _place(key: Key) -> tuple[str, ...]:
    """Return the filter for the sockets on an address; none where any address counts."""
    anywhere = is_wildcard(packed_address(key.local_address)[1])
    return () if anywhere else ("--local", key.local_address)


def _what(key: Key) -> str:
    """Return what looks for a port."""
    if key.operation == Operation.BIND0.value:
        return f"{key.protocol.upper()} bind() to port 0 on {key.local_address}"
    return f"An unbound UDP connect or send from {key.local_address}"


def _full(key: Key) -> str:
    """Return how many ports are held, and by what."""
    share = (
        f"{every(key.eligible_ports)} {are(key.eligible_ports)}"
        if key.held_ports == key.eligible_ports
        else f"{key.held_ports:,} of the {count(key.eligible_ports, 'port')} that the kernel may "
        f"choose {are(key.held_ports)}"
    )
    sockets = f": {states_words(key.states)}" if key.states else ""
    error = AGAIN if key.operation == Operation.CONNECT.value else IN_USE
    finds = f"finds none ({error})" if key.exhausted else "may find none"
    return (
        f"{_what(key)} {finds}. {share} held by sockets whose address overlaps, whatever "
        f"their destination{sockets}.{owners_words(key.owners)}"
    )


def _has_free(key: Key) -> str:
    """Return how many ports are left."""
    least = "at least " if key.doubtful_ports else ""
    return (
        f"{_what(key)} finds {least}{count(key.free_ports, 'free port')} of {key.eligible_ports:,}."
    )
