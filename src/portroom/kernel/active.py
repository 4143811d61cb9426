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

INFO_BYTES = 216
"""As much of struct tcp_info as is read here; Linux 4.19 has it all."""

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
    layouts: dict[int, _Layout | None] = {}
    for datagram in datagrams:
        for message in sock_diag.messages(datagram):
            length = len(message)
            layout = layouts.get(length)
            if layout is None or message[layout.start : layout.start + 4] != layout.header:
                # Rows of one length mostly have one layout, but need not.
                layout = layouts[length] = _layout(message)
            if layout is not None:
                layout.add(message, found)
    return {place: frozenset(ports) for place, ports in found.items()}


class _Layout:
    """Where INFO stands in a row, and how to take all that is needed at once."""

    def __init__(self, start: int, header: bytes) -> None:
        self.start = start
        self.header = header
        # Family, local port, addresses, send queue; then of struct tcp_info
        # bytes_acked, notsent_bytes, bytes_sent, bytes_retrans.
        gap = start + 4 - (sock_diag.SEND_QUEUE + 4)
        fields = f"=16xB3x2s38s16xI{gap}x120xQ16xI52xQQ"
        self._unpack = struct.Struct(fields).unpack_from

    def add(self, message: memoryview, found: defaultdict[tuple[int, bytes], set[int]]) -> None:
        """Add the port of a row to *found* if its socket surely connected out."""
        family, port, key, queue, acked, unsent, sent, resent = self._unpack(message)
        if resent or acked + queue - unsent - sent != 1:
            return
        if family == Family.IPV6 and key[2:14] == MAPPED:
            family, key = Family.IPV4, unmapped_key(key)
        found[family, key].add(int.from_bytes(port, "big"))


def _layout(message: memoryview) -> _Layout | None:
    """Return the layout of a row, None if it has no whole INFO."""
    start = sock_diag.ATTRIBUTES
    for number, value in sock_diag.attributes(message, start).items():
        if number == sock_diag.INFO:
            whole = len(value) >= INFO_BYTES
            return _Layout(start, bytes(message[start : start + 4])) if whole else None
        start += 4 + len(value) + 3 & ~3
    return None
