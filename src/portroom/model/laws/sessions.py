"""From rows to Sessions: what a filter lets through, in which order.

Rules of this file:

- filters hold whether or not the kernel applied them before, so that a saved
  Snapshot and /proc/net answer as a dump does;
- rows are named by their place; a Session is made only for what is shown;
- what has no inode has no owner in the kernel, and the uid 0 that comes with it
  means nothing: unknown, never root.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from portroom.model.facts.answers import Session
from portroom.model.facts.snapshot import Rows
from portroom.model.facts.sockets import Owner, Protocol, TcpState, packed_address
from portroom.model.laws.endpoint_filter import (
    ALL_PORTS,
    EVERY_ENDPOINT,
    EndpointFilter,
)
from portroom.model.laws.process_filter import process_filter
from portroom.model.laws.session_words import EVERY_STATE, SortKey

OwnersByInode = Mapping[int, tuple[Owner, ...]]

LAST = 1 << 64
"""Sorts after every number of the kernel."""


class SessionsQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which sessions, in which order.

    Args:
        protocols: Wanted protocols.
        states: Wanted states.
        local: What the local endpoint must be.
        remote: What the remote endpoint must be.
        process: A process id, or the name of a process, ``*`` and ``?`` being
            wildcards; None for any.
        sort: Columns to sort by; empty leaves the order of the kernel.
        limit: Sessions to show at most; 0 is all of them.
        summary: Sessions in numbers, and no single one.
    """

    protocols: tuple[Protocol, ...] = tuple(Protocol)
    states: frozenset[TcpState] = EVERY_STATE
    local: EndpointFilter = EVERY_ENDPOINT
    remote: EndpointFilter = EVERY_ENDPOINT
    process: str | None = None
    sort: tuple[SortKey, ...] = ()
    limit: int = 0
    summary: bool = False

    @property
    def chooses_by_owner(self) -> bool:
        """Say whether owners decide what is shown, and must be known for all."""
        by_process = any(key.column == "process" for key in self.sort)
        return self.process is not None or by_process


def select(rows: Rows, question: SessionsQuestion) -> list[int]:
    """Return the places of the rows that pass, but for the process asked for."""
    places = list(range(len(rows.state)))
    if len(question.protocols) < len(Protocol):
        places = [i for i in places if rows.protocol[i] in question.protocols]
    if question.states != EVERY_STATE:
        places = [i for i in places if rows.state[i] in question.states]
    places = _at(places, rows.local_address, rows.local_port, question.local)
    return _at(places, rows.remote_address, rows.remote_port, question.remote)


def _at(
    places: list[int],
    addresses: Sequence[str],
    ports: Sequence[int],
    wanted: EndpointFilter,
) -> list[int]:
    """Return the places whose endpoint passes a filter."""
    if wanted.ports != ALL_PORTS:
        first, last = wanted.ports
        places = [i for i in places if first <= ports[i] <= last]
    if wanted.family is not None:
        passing = {
            text
            for text in {addresses[i] for i in places}
            if wanted.matches_address(*packed_address(text))
        }
        places = [i for i in places if addresses[i] in passing]
    return places


def owned_by(rows: Rows, places: list[int], process: str, owners: OwnersByInode) -> list[int]:
    """Return the places of the sockets that a process of this name or id has."""
    matches = process_filter(process)
    inodes = {
        inode
        for inode, found in owners.items()
        if any(matches(owner.pid, owner.command) for owner in found)
    }
    return [i for i in places if rows.inode[i] in inodes]


def arrange(
    rows: Rows, places: list[int], sort: Sequence[SortKey], owners: OwnersByInode
) -> list[int]:
    """
    Return *places* in the order asked for.

    Rows that are equal in it keep their order. What is unknown comes last of
    an ascending sort.
    """
    places = list(places)
    for key in reversed(sort):
        places.sort(key=_sort_value(rows, key.column, owners), reverse=key.descending)
    return places


def _sort_value(rows: Rows, column: str, owners: OwnersByInode) -> Callable[[int], Any]:
    """Return the function from a place to the value that it is sorted by."""
    if column == "local":
        return _endpoint_value(rows.local_address, rows.local_port)
    if column == "remote":
        return _endpoint_value(rows.remote_address, rows.remote_port)
    values: dict[str, Callable[[int], Any]] = {
        "proto": lambda i: (rows.protocol[i].value, rows.family[i]),
        "state": rows.state.__getitem__,
        "recv": rows.recv_queue_bytes.__getitem__,
        "send": rows.send_queue_bytes.__getitem__,
        "uid": lambda i: rows.uid[i] if rows.inode[i] else LAST,
        "inode": lambda i: rows.inode[i] or LAST,
        "process": lambda i: _process_value(owners.get(rows.inode[i], ())),
    }
    return values[column]


def _endpoint_value(addresses: Sequence[str], ports: Sequence[int]) -> Callable[[int], Any]:
    """Return the function from a place to its endpoint as numbers, IPv4 first."""
    values = {text: packed_address(text) for text in set(addresses)}
    return lambda i: (values[addresses[i]], ports[i])


def _process_value(owners: tuple[Owner, ...]) -> tuple[bool, str, int]:
    """Return the name and id of the first owner, none being last."""
    if not owners:
        return True, "", 0
    return False, owners[0].command, owners[0].pid


def make(rows: Rows, places: Collection[int], owners: OwnersByInode) -> tuple[Session, ...]:
    """Return the sessions at *places*, with the owners that are known."""
    holders = _OfOne()
    return tuple(_session(rows, i, holders[owners.get(rows.inode[i], ())]) for i in places)


class _OfOne(dict[tuple[Owner, ...], tuple[Owner, ...]]):
    """Owners as those of one socket; the same few own thousands."""

    def __missing__(self, owners: tuple[Owner, ...]) -> tuple[Owner, ...]:
        """Return the owners, each with one socket."""
        found = tuple(msgspec.structs.replace(owner, sockets=1) for owner in owners)
        self[owners] = found
        return found


def _session(rows: Rows, i: int, owners: tuple[Owner, ...]) -> Session:
    """Return one session."""
    inode = rows.inode[i]
    remote_address: str | None = rows.remote_address[i]
    remote_port: int | None = rows.remote_port[i]
    if not remote_port and remote_address in {"0.0.0.0", "::"}:  # noqa: S104
        remote_address = remote_port = None
    return Session(
        rows.protocol[i].value,
        rows.state[i].name,
        rows.local_address[i],
        rows.local_port[i],
        remote_address,
        remote_port,
        rows.recv_queue_bytes[i],
        rows.send_queue_bytes[i],
        rows.uid[i] if inode else None,
        inode or None,
        owners,
    )
