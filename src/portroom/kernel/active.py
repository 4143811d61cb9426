"""Find the sockets that surely connected out themselves.

The bytes that a connection sent add up only with the SYN: connect() sends one
that the peer acknowledges, and ``bytes_acked`` counts it; an accepted socket
starts after it. So for a connection without retransmissions::

    bytes_acked + (send queue - notsent_bytes) - bytes_sent = 1 or 0

1 is a socket that connected out. Anything else proves nothing: a restored
(TCP_REPAIR) socket shows 0 although it once connected.

Source: Linux net/ipv4/tcp_input.c, tcp_snd_una_update; include/uapi/linux/tcp.h.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable

from portroom.kernel import bytecode, sock_diag
from portroom.kernel.collect import unmapped_key
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import MAPPED, Family, TcpState

STATES = 1 << TcpState.ESTABLISHED | 1 << TcpState.CLOSE_WAIT
"""Before its FIN, so that the sums have no second sequence number."""

INFO_EXTENSION = 1 << sock_diag.INFO - 1

_INFO = struct.Struct("=120xQ16xI52xQQ")
"""bytes_acked, notsent_bytes, bytes_sent, bytes_retrans of struct tcp_info."""

Active = dict[tuple[int, bytes], frozenset[int]]
"""Local ports by family and group key."""


def read_active(scope: PortRange) -> Active:
    """
    Read which automatic ports belong to sockets that connected out.

    Costs about twice a plain dump of the same sockets.

    Args:
        scope: Local ports asked for, both ends included.

    Raises:
        OSError: sock_diag is missing or refused.
    """
    filter = bytecode.program((*bytecode.local_ports(scope), bytecode.automatic()))
    request = sock_diag.legacy_request(STATES, extensions=INFO_EXTENSION, filter=filter)
    with Netlink(NETLINK_SOCK_DIAG) as netlink:
        return witnesses(netlink.dump(sock_diag.TCPDIAG_GETSOCK, request))


def witnesses(datagrams: Iterable[memoryview]) -> Active:
    """
    Return the sockets of a dump that surely connected out.

    Raises:
        KernelDataError: A datagram is no chain of sock_diag messages.
    """
    found: defaultdict[tuple[int, bytes], set[int]] = defaultdict(set)
    for datagram in datagrams:
        for message in sock_diag.messages(datagram):
            if connected_out(message):
                family, key, port = _place(message)
                found[family, key].add(port)
    return {place: frozenset(ports) for place, ports in found.items()}


def connected_out(message: memoryview) -> bool:
    """
    Say whether one row with its INFO attribute surely connected out.

    Args:
        message: One sock_diag message of a socket that sent no FIN.
    """
    info = sock_diag.attributes(message, sock_diag.ATTRIBUTES).get(sock_diag.INFO, b"")
    if len(info) < _INFO.size:
        return False
    acked, unsent, sent, resent = _INFO.unpack_from(info)
    (queue,) = struct.unpack_from("=I", message, sock_diag.SEND_QUEUE)
    return bool(resent == 0 and acked + queue - unsent - sent == 1)


def _place(message: memoryview) -> tuple[int, bytes, int]:
    """Return family, group key and local port of one row, v4-mapped as IPv4."""
    family = message[sock_diag.FAMILY]
    start = sock_diag.ADDRESSES
    key = bytes(message[start : start + 38])
    port = int.from_bytes(message[start - 2 : start], "big")
    if family == Family.IPV6 and key[2:14] == MAPPED:
        return Family.IPV4, unmapped_key(key), port
    return family, key, port
