"""Make the known sockets.

Rules of this file:

- it runs in a namespace of its own, which ends all that is made here;
- TIME_WAIT comes last: below the age of a second an entry is reused on no kernel.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from portroom.kernel.probe import TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE, has_range_option
from portroom.model.facts.sockets import TcpState
from tests.kernel.harness import ip, wait_until
from tests.kernel.sockets import Address, family_of, in_state, tcp, udp
from tests.kernels.guest import known
from tests.kernels.guest.known import Known
from tests.kernels.guest.manifest import Population, end, entry_of

IN_NO_TEXT = ("BOUND_INACTIVE", "CLOSE")
"""States of TCP sockets that /proc/net/tcp does not list."""


def populate() -> Population:
    """Make all sockets, and return them once each is in its state."""
    ip(*known.NETWORK)
    made = Population()
    for one in known.LISTENERS:
        made.listen(one)
    made.listen(Known(known.AUTOBIND))
    add_connections(made)
    add_bound(made)
    add_udp(made)
    add_unanswered(made)
    add_closing(made)
    # Made earlier, a later connection without a device could get the very same 4-tuple.
    made.connect(known.ON_DEVICE, TcpState.ESTABLISHED, TcpState.ESTABLISHED)
    wait_until(lambda: settled(made.manifest), "each socket is in its state")
    return made


def add_connections(made: Population) -> None:
    """Add established connections, one of them with unread bytes."""
    established = TcpState.ESTABLISHED, TcpState.ESTABLISHED
    for one in known.CONNECTIONS:
        if "range_option" in one.options and has_range_option() is False:
            made.missing.append(f"IP_LOCAL_PORT_RANGE: {errno.errorcode[errno.ENOPROTOOPT]}")
        else:
            made.connect(one, *established)
    unread = {"note": "3 bytes unread at the server end"}
    client, _ = made.connect(plain_connection(**unread), *established)
    client.send(b"abc")


def add_bound(made: Population) -> None:
    """Add what is only bound, and sockets of another user."""
    for one in known.ONLY_BOUND:
        made.add(tcp(one.bind, **one.options), TcpState.BOUND_INACTIVE, one.port_from, **one.more)
    unused = tcp(("127.0.0.1", 0), **known.NOPORT)
    made.add(unused, TcpState.CLOSE, known.NOT_YET, **known.HOLDS_NONE)
    with another_user():
        made.listen(Known(known.EXPLICIT_LISTEN, ("127.0.0.1", 9010)))
        made.add(udp(("0.0.0.0", 5353)), TcpState.CLOSE, known.EXPLICIT)
        made.add(tcp(("127.0.0.1", 41010)), TcpState.BOUND_INACTIVE, known.EXPLICIT)


@contextmanager
def another_user() -> Iterator[None]:
    """Make sockets that belong to a user who is not root."""
    os.seteuid(known.ANOTHER_USER)
    try:
        yield
    finally:
        os.seteuid(0)


def add_udp(made: Population) -> None:
    """Add UDP sockets, connected or not."""
    for one in known.UDP:
        opened = udp(one.bind, **{"family": family_of(one.bind or one.remote), **one.options})
        if one.remote:
            opened.connect(one.remote)
        state = TcpState.ESTABLISHED if one.remote else TcpState.CLOSE
        made.add(opened, state, one.port_from, **one.more)


def add_unanswered(made: Population) -> None:
    """Add connections that wait: for data to send, for an answer, for the last ACK."""
    deferred = tcp()
    deferred.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    deferred.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1)
    begin(made, deferred, ("192.0.2.2", 9009), "TCP_FASTOPEN_CONNECT deferred: no SYN sent", 0)
    begin(made, tcp(), (known.SILENT, 80), "no answer", errno.EINPROGRESS)
    send_syn((known.ABSENT, 55555), ("192.0.2.1", 9000))
    entry = {
        "protocol": "tcp",
        "family": "AF_INET",
        "local": end(("192.0.2.1", 9000)),
        "remote": end((known.ABSENT, 55555)),
        "state": TcpState.SYN_RECV.name,
        "port_from": known.LISTENERS_PORT,
        "uid": 0,
    }
    made.leave(entry, note="request socket of the listener 0.0.0.0:9000")


def begin(
    made: Population, client: socket.socket, remote: Address, note: str, expected: int
) -> None:
    """Add a socket whose connect() does not end; it must tell *expected*, an errno or 0."""
    client.setblocking(False)
    told = client.connect_ex(remote)
    if told != expected:
        raise OSError(told, f"connect() to {remote}: {os.strerror(told)}")
    made.add(client, TcpState.SYN_SENT, known.AUTOMATIC, remote=end(remote), note=note)


def send_syn(source: Address, target: Address) -> None:
    """Send a SYN as if from *source*, from which no further word will come."""
    ports = struct.pack("!HH", source[1], target[1])
    # Sequence 12345, 24 bytes of header, SYN; a window; the option MSS 1460.
    rest = struct.pack("!IIBBHHHBBH", 12345, 0, 0x60, 2, 64240, 0, 0, 2, 4, 1460)
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    segment = ports + rest
    total = checksum(addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(segment)) + segment)
    segment = segment[:16] + struct.pack("!H", total) + segment[18:]
    # The kernel fills in the length and the checksum of the IP header.
    header = struct.pack("!BBHHHBBH", 0x45, 0, 0, 1, 0, 64, socket.IPPROTO_TCP, 0) + addresses
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + segment, (target[0], 0))


def checksum(content: bytes) -> int:
    """
    Return the Internet checksum of an even number of bytes (RFC 1071).

    >>> hex(checksum(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    total: int = sum(struct.unpack(f"!{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def add_closing(made: Population) -> None:
    """Add half-closed connections, and ended ones."""
    client, _ = made.connect(plain_connection(), TcpState.FIN_WAIT2, TcpState.CLOSE_WAIT)
    client.shutdown(socket.SHUT_WR)
    client, child = made.pair(plain_connection())
    made.add(child, TcpState.CLOSE_WAIT, known.ACCEPTED)
    note = "orphan, kept as a TIME_WAIT bucket with substate FIN_WAIT2"
    made.leave(entry_of(client, TcpState.FIN_WAIT2, known.AUTOMATIC), note=note)
    client.close()
    made.closing_since = time.monotonic()
    for one in known.ENDED:
        end_first(made, *made.pair(one), one.port_from)
    client, child = made.pair(Known(known.AUTOMATIC, None, ("127.0.0.1", 9001)))
    end_first(made, child, client, known.ACCEPTED)


def plain_connection(**more: Any) -> Known:
    """Return the plainest connection."""
    return Known(known.AUTOMATIC, None, ("127.0.0.1", 9000), {}, more)


def end_first(made: Population, first: socket.socket, second: socket.socket, origin: str) -> None:
    """Close both ends of a connection; the first stays in TIME_WAIT."""
    made.leave(entry_of(first, TcpState.TIME_WAIT, origin))
    first.close()
    # Who has read the end of the stream has acknowledged it.
    second.recv(1)
    second.close()


def settled(manifest: list[dict[str, Any]]) -> bool:
    """Say whether as many TCP sockets are in each state as will be."""
    wanted = Counter(one["state"] for one in manifest if one["protocol"] == "tcp")
    return all(
        in_state(TcpState[state]) == count
        for state, count in wanted.items()
        if state not in IN_NO_TEXT
    )
