"""The words of ``portroom sessions``: states, protocols and sort orders.

State names are those of the kernel and those of ``ss``, in any case, with
``-``, ``_`` or nothing between the parts; so are the groups of ``ss``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from portroom.errors import InvalidRequestError
from portroom.model.facts.sockets import Protocol, TcpState

EVERY_STATE = frozenset(TcpState)

SMALL = frozenset({TcpState.TIME_WAIT, TcpState.SYN_RECV, TcpState.NEW_SYN_RECV})
"""States that the kernel keeps as a stub instead of a whole socket."""

CONNECTED = EVERY_STATE - {TcpState.LISTEN, TcpState.CLOSE, TcpState.BOUND_INACTIVE}

GROUPS = {
    "all": EVERY_STATE,
    "connected": CONNECTED,
    "synchronized": CONNECTED - {TcpState.SYN_SENT},
    "bucket": SMALL,
    "big": EVERY_STATE - SMALL,
}
"""Groups of states. Source: iproute2 misc/ss.c, scan_state."""

OTHER_NAMES = {
    "estab": TcpState.ESTABLISHED,
    "unconn": TcpState.CLOSE,
    "unconnected": TcpState.CLOSE,
    "closed": TcpState.CLOSE,
    "listening": TcpState.LISTEN,
    "bound": TcpState.BOUND_INACTIVE,
}

PROTOCOL_NAMES = {protocol.value: protocol for protocol in Protocol}

SORTS = ("proto", "state", "recv", "send", "local", "remote", "uid", "process", "inode")

OTHER_SORTS = {"protocol": "proto", "user": "uid", "recv-q": "recv", "send-q": "send"}


class SortKey(NamedTuple):
    """A column to sort by, one of SORTS, and whether the largest comes first."""

    column: str
    descending: bool = False


def parse_states(words: Iterable[str]) -> frozenset[TcpState]:
    """
    Return the states that any of *words* names; no word is every state.

    Each word may be several, with a comma between.

    Raises:
        InvalidRequestError: A word names no state and no group; it is quoted.

    >>> sorted(parse_states(["time-wait,FIN_WAIT1"]))
    [<TcpState.FIN_WAIT1: 4>, <TcpState.TIME_WAIT: 6>]
    """
    groups = [_states_of(word) for word in _split(words)]
    return frozenset().union(*groups) if groups else EVERY_STATE


def _states_of(word: str) -> frozenset[TcpState]:
    """Return the states that one word names."""
    plain = _plain(word)
    if plain in GROUPS:
        return GROUPS[plain]
    state = STATE_NAMES.get(plain)
    if state is None:
        names = " ".join(known.name for known in TcpState if known not in HIDDEN)
        raise InvalidRequestError(
            f"No socket state {word!r}.",
            f"States: {names}; groups: {' '.join(GROUPS)}.",
        )
    return frozenset({state})


def _plain(word: str) -> str:
    """Return a state name without what spellings differ in."""
    return word.lower().replace("-", "").replace("_", "")


HIDDEN = {TcpState.NEW_SYN_RECV}
"""Half-open connections are so called inside the kernel only, and SYN_RECV outside."""

STATE_NAMES = {_plain(state.name): state for state in TcpState if state not in HIDDEN} | OTHER_NAMES


def parse_protocols(words: Iterable[str]) -> tuple[Protocol, ...]:
    """
    Return the protocols that *words* name, in our order; no word is all of them.

    Raises:
        InvalidRequestError: A word names no protocol; it is quoted.

    >>> parse_protocols(["UDP,tcp"])
    (<Protocol.TCP: 'tcp'>, <Protocol.UDP: 'udp'>)
    """
    wanted = set()
    for word in _split(words):
        protocol = PROTOCOL_NAMES.get(_plain(word))
        if protocol is None:
            hint = f"Protocols: {' '.join(PROTOCOL_NAMES)}."
            if _plain(word) == "unix":
                hint = f"Unix sockets have no ports and are out of scope. {hint}"
            raise InvalidRequestError(f"No protocol {word!r}.", hint)
        wanted.add(protocol)
    return tuple(known for known in Protocol if known in wanted or not wanted)


def parse_sort(words: Iterable[str]) -> tuple[SortKey, ...]:
    """
    Return the columns to sort by, the first being the most important.

    A minus before a name puts the largest first.

    Raises:
        InvalidRequestError: A word names no column; it is quoted.

    >>> parse_sort(["state,-recv"])
    (SortKey(column='state', descending=False), SortKey(column='recv', descending=True))
    """
    keys = []
    for word in _split(words):
        name = word.removeprefix("-").lower().replace("_", "-")
        name = OTHER_SORTS.get(name, name)
        if name not in SORTS:
            raise InvalidRequestError(
                f"No column {word!r} to sort by.",
                f"Columns: {' '.join(SORTS)}; -NAME puts the largest first.",
            )
        keys.append(SortKey(name, word.startswith("-")))
    return tuple(keys)


def _split(words: Iterable[str]) -> list[str]:
    """Return single words without blanks around; a comma separates."""
    return [part.strip() for word in words for part in word.split(",")]
