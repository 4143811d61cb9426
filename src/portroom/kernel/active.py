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

from portroom.kernel import sock_diag
from portroom.kernel.collect import unmapped_key
from portroom.model.facts.sockets import MAPPED, Family, TcpState

STATES = (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
"""Before its FIN, so that the sums have no second sequence number."""

INFO_EXTENSION = 1 << sock_diag.INFO - 1

INFO_BYTES = 216
"""As much of struct tcp_info as is read here; Linux 4.19 has it all."""

Active = dict[tuple[int, bytes], frozenset[int]]
"""Local ports by family and group key."""


class Witnesses:
    """
    Take the datagrams of a TCP dump with INFO and keep who surely connected out.

    The attribute makes a dump about half as dear again.
    """

    def __init__(self) -> None:
        self._found: defaultdict[tuple[int, bytes], set[int]] = defaultdict(set)
        self._layouts: dict[int, _Layout | None] = {}

    def feed(self, datagram: memoryview) -> None:
        """
        Look at the rows of one datagram.

        Raises:
            KernelDataError: The bytes are no chain of sock_diag messages.
        """
        for message in sock_diag.messages(datagram):
            length = len(message)
            layout = self._layouts.get(length)
            if layout is None or message[layout.start : layout.start + 4] != layout.header:
                # Rows of one length mostly have one layout, but need not.
                layout = self._layouts[length] = _layout(message)
            if layout is not None:
                layout.add(message, self._found)

    def active(self) -> Active:
        """Return the local ports of those that connected out."""
        return {place: frozenset(ports) for place, ports in self._found.items()}


class _Layout:
    """Where INFO stands in a row, and how to take all that is needed at once."""

    def __init__(self, start: int, header: bytes) -> None:
        self.start = start
        self.header = header
        # Family, state, local port, addresses, send queue; then of struct tcp_info
        # bytes_acked, notsent_bytes, bytes_sent, bytes_retrans.
        gap = start + 4 - (sock_diag.SEND_QUEUE + 4)
        fields = f"=16xBB2x2s38s16xI{gap}x120xQ16xI52xQQ"
        self._unpack = struct.Struct(fields).unpack_from

    def add(self, message: memoryview, found: defaultdict[tuple[int, bytes], set[int]]) -> None:
        """Add the port of a row to *found* if its socket surely connected out."""
        family, state, port, key, queue, acked, unsent, sent, resent = self._unpack(message)
        if state not in STATES or resent or acked + queue - unsent - sent != 1:
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
