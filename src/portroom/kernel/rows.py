"""Read the sockets of the caller's network namespace one by one, as columns.

Rules of this file:

- protocols, states and endpoints are filtered in the kernel where it can do it;
  what it lets through besides is for ``model/laws/sessions.py`` to drop;
- one dump a protocol and family, so that bytes of an address have one meaning;
- a protocol without a handler is read from ``/proc/net``, and where that has
  nothing to offer it is a Gap: never "no sockets".

Source: Linux net/ipv4/inet_diag.c, udp_diag.c, raw_diag.c; net/mptcp/mptcp_diag.c.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

import msgspec

from portroom.errors import KernelDataError
from portroom.kernel import bytecode, proc_net, sock_diag
from portroom.kernel.columns import Columns, append_rows, empty_rows
from portroom.kernel.files import PROC, read_text
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.model.facts.snapshot import Gap, Rows
from portroom.model.facts.sockets import Family, Protocol, TcpState
from portroom.model.laws.endpoint_filter import EVERY_ENDPOINT, EndpointFilter

NUMBERS = {
    Protocol.TCP: 6,
    Protocol.UDP: 17,
    Protocol.UDPLITE: 136,
    # raw_diag lists the raw sockets of every protocol under this one.
    Protocol.RAW: 255,
    Protocol.MPTCP: 262,
}

EVERY_STATE = frozenset(TcpState)

AFFECTS = ("sessions",)

ATTEMPTS = 3
"""Dumps of one protocol before it is said that the tables keep changing."""

REFUSED = (
    errno.ENOENT,
    errno.EPROTONOSUPPORT,
    errno.EAFNOSUPPORT,
    errno.EPERM,
    errno.EACCES,
)
"""
What is answered where inet_diag, or one protocol's part of it, is missing; and
where a filter on system calls lets no netlink through.
"""


class RowsQuery(msgspec.Struct, frozen=True):
    """Which sockets are wanted; everything by default."""

    protocols: tuple[Protocol, ...] = tuple(Protocol)
    states: frozenset[TcpState] = EVERY_STATE
    local: EndpointFilter = EVERY_ENDPOINT
    remote: EndpointFilter = EVERY_ENDPOINT


EVERYTHING = RowsQuery()


class RowsRead(NamedTuple):
    """
    The rows, whether the tables changed during a dump, and what is missing.

    ``rows`` holds at least what was asked for.
    """

    rows: Rows
    interrupted: bool
    gaps: tuple[Gap, ...]


def read_rows(query: RowsQuery = EVERYTHING) -> RowsRead:
    """
    Read the sockets of the caller's network namespace.

    Needs no right. Sockets of old kernels that are bound and nothing else are
    in no table and so not in the rows either.

    Raises:
        OSError: The kernel refused for another reason than not having it.
        KernelDataError: A reply, or a text of /proc/net, cannot be read.
    """
    rows = empty_rows()
    interrupted = False
    gaps: list[Gap] = []
    for protocol in query.protocols:
        try:
            found, changed = _dump(protocol, query)
            interrupted = interrupted or changed
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            found, gap = _read_text(protocol)
            gaps += [gap] if gap else []
        append_rows(rows, found)
    if interrupted:
        gaps.append(changing_tables())
    return RowsRead(rows, interrupted, tuple(gaps))


def _read_text(protocol: Protocol, proc: str = PROC) -> tuple[Rows, Gap | None]:
    """
    Return the rows of a protocol that sock_diag does not list, and what lacks.

    A protocol that this kernel does not have has no sockets, and nothing lacks.
    """
    try:
        rows = proc_net.read_rows([protocol], proc)
    except FileNotFoundError:
        if not _may_have_sockets(protocol, proc):
            return empty_rows(), None
        reason = "sock_diag has no handler for it, and /proc/net no table"
        return empty_rows(), Gap(f"{protocol.value} sockets", reason, AFFECTS)
    return rows, _degraded(protocol)


def _degraded(protocol: Protocol) -> Gap | None:
    """Return the Gap of a table of /proc/net, None where it tells as much."""
    if protocol is not Protocol.TCP:
        return None
    return Gap(
        "tcp sockets",
        "sock_diag has no handler for them: degraded, read from /proc/net, which"
        " lists no socket that is only bound and no limit of a backlog",
        AFFECTS,
    )


def _may_have_sockets(protocol: Protocol, proc: str) -> bool:
    """
    Say whether there may be sockets of a protocol that no table lists.

    Linux 6.1 has MPTCP and counts 0 of its sockets, whatever there are: a 0 holds
    only where a socket of our own is counted, or none can be made.
    """
    import socket

    table = f"{proc}/thread-self/net/protocols"
    if sockets_in_use(read_text(table), protocol):
        return True
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, NUMBERS[protocol]):
            return not sockets_in_use(read_text(table), protocol)
    except OSError:
        return False


def sockets_in_use(text: str, protocol: Protocol) -> int:
    r"""
    Return how many sockets ``/proc/net/protocols`` counts for a protocol.

    >>> text = "protocol  size sockets  memory\nMPTCPv6 2064 3 253\nMPTCP 1936 1 253\n"
    >>> sockets_in_use(text, Protocol.MPTCP)
    4

    Raises:
        KernelDataError: A count is no number.
    """
    names = {protocol.value, f"{protocol.value}v6"}
    lines = [line.split() for line in text.splitlines()]
    counts = [
        line[2] for line in lines if len(line) > 2 and line[0].lower().replace("-", "") in names
    ]
    try:
        return sum(map(int, counts))
    except ValueError:
        raise KernelDataError(
            f"/proc/net/protocols: expected counts of {protocol.value}, got {counts!r}."
        ) from None


def changing_tables() -> Gap:
    """Return the Gap of dumps that the kernel called inconsistent."""
    return Gap(
        "sock_diag",
        f"the socket tables changed during each of {ATTEMPTS} dumps:"
        " a socket may be missing or listed twice",
        AFFECTS,
    )


def _dump(protocol: Protocol, query: RowsQuery) -> tuple[Rows, bool]:
    """Return the rows of one protocol, and whether each attempt was disturbed."""
    for _ in range(ATTEMPTS - 1):
        rows, interrupted = _dump_once(protocol, query)
        if not interrupted:
            return rows, False
    return _dump_once(protocol, query)


def _dump_once(protocol: Protocol, query: RowsQuery) -> tuple[Rows, bool]:
    """Return the rows of one protocol, and whether the tables changed meanwhile."""
    interrupted = False
    columns = Columns()
    for family in Family:
        with Netlink(NETLINK_SOCK_DIAG) as netlink:
            request = request_of(protocol, family, query)
            for datagram in netlink.dump(sock_diag.SOCK_DIAG_BY_FAMILY, request):
                columns.append(datagram, protocol, family)
            interrupted = interrupted or netlink.interrupted
    return columns.rows, interrupted


def request_of(protocol: Protocol, family: Family, query: RowsQuery) -> bytes:
    """Return the payload of the dump that answers a query for one family."""
    return sock_diag.request(
        family, NUMBERS[protocol], _state_mask(query.states), filter=_program(query, family)
    )


def _state_mask(states: frozenset[TcpState]) -> int:
    """Return the mask of states, bit by number."""
    mask = sum(1 << state for state in states)
    # Half-open connections wait as NEW_SYN_RECV and are reported as SYN_RECV.
    return mask | 1 << TcpState.NEW_SYN_RECV if TcpState.SYN_RECV in states else mask


def _program(query: RowsQuery, family: Family) -> bytes:
    """Return the program that does the kernel's part of the filters."""
    local, remote = query.local, query.remote
    conditions = [
        *bytecode.local_ports(local.ports),
        *bytecode.remote_ports(remote.ports),
    ]
    if local.family is not None and _kernel_compares(local, family):
        conditions.append(bytecode.local_address(local.family, local.address, local.prefix_bits))
    if remote.family is not None and _kernel_compares(remote, family):
        conditions.append(
            bytecode.remote_address(remote.family, remote.address, remote.prefix_bits)
        )
    return bytecode.program(conditions)


def _kernel_compares(wanted: EndpointFilter, family: Family) -> bool:
    """
    Say whether the kernel lets at least every wanted address of a dump pass.

    A v4-mapped socket without remote has ``::`` there, which is 0.0.0.0 to us
    and never to the kernel.
    """
    wildcard = wanted.matches_address(Family.IPV4, bytes(16))
    return family is Family.IPV4 or not wildcard
