"""A still crowd of sockets: every protocol, family and state that can be held."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.kernel.harness import black_hole, wait_until
from tests.kernel.sockets import accept_all, connected, in_state, listener, tcp, udp

IPPROTO_MPTCP = 262
IPPROTO_UDPLITE = 136
NOT_EVERYWHERE = {
    "mptcp": (socket.SOCK_STREAM, IPPROTO_MPTCP),
    "udplite": (socket.SOCK_DGRAM, IPPROTO_UDPLITE),
}
"""Protocols that not every kernel is built with."""
TCP_DEFER_ACCEPT = 9

_KEPT: list[socket.socket] = []


def gather() -> None:
    """
    Make the crowd in the present namespace; its sockets stay open.

    Of the states of TCP only CLOSING is not among it: it cannot be held.
    """
    ends()
    half_open()
    pending()
    closing()
    others()


def keep(made: socket.socket) -> socket.socket:
    """Return a socket that stays open for the life of the process."""
    _KEPT.append(made)
    return made


def pair(address: str, port: int, **options: object) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection to a new listener: client, server."""
    server = listener(address, port, **options)
    client = connected((address, port))
    (accepted,) = accept_all(server, 1)
    return client, accepted


def ends() -> None:
    """Listeners and connections of both families, and v4-mapped ones."""
    pair("127.0.0.1", 9000)
    pair("::1", 9001)
    listener("::", 9002)
    listener("::", 9003, v6only=True)
    listener("0.0.0.0", 9004)
    connected(("::ffff:127.0.0.1", 9002))
    connected(("127.0.0.1", 9002))
    tcp(("127.0.0.9", 9010))
    tcp(("::1", 9011))
    tcp(("::ffff:127.0.0.1", 9012))


def half_open() -> None:
    """SYN_SENT into a black hole, and SYN_RECV of a listener that waits for data."""
    client = tcp()
    client.setblocking(False)
    client.connect_ex((black_hole(), 9000))
    server = listener("127.0.0.1", 9020)
    server.setsockopt(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 100)
    connected(("127.0.0.1", 9020))


def pending() -> None:
    """Bytes in a receive queue, an accept queue, and a send queue."""
    client, server = pair("127.0.0.1", 9030)
    client.send(b"x" * 123)
    stuff(server)
    sender, receiver = udp(), udp(("127.0.0.1", 9031))
    sender.connect(("127.0.0.1", 9031))
    sender.send(b"y" * 77)
    wait_until(lambda: receiver.recv(1, socket.MSG_PEEK), "the datagram is there")


def stuff(made: socket.socket) -> None:
    """Send until nothing more goes: the other end does not read."""
    made.setblocking(False)
    try:
        while True:
            made.send(b"z" * 65536)
    except BlockingIOError:
        return


def closing() -> None:
    """FIN_WAIT1, FIN_WAIT2 with CLOSE_WAIT, LAST_ACK, TIME_WAIT."""
    client, server = pair("127.0.0.1", 9040)
    stuff(client)
    client.close()
    client, server = pair("127.0.0.1", 9041)
    client.shutdown(socket.SHUT_WR)
    client, server = pair("127.0.0.1", 9042)
    client.shutdown(socket.SHUT_WR)
    wait_until(lambda: server.recv(1) == b"", "the end has come")
    stuff(server)
    server.close()
    client, server = pair("127.0.0.1", 9043)
    client.close()
    server.close()
    wait_until(lambda: " 06 " in Path("/proc/net/tcp").read_text(), "TIME_WAIT is there")
    # The ACK of a FIN may be delayed by 40 ms; only the stuffed client stays.
    wait_until(lambda: in_state(4) == 1, "one socket is in FIN_WAIT1")


def missing() -> set[str]:
    """Return the protocols that this kernel makes no sockets of."""
    found = set()
    for name, (kind, number) in NOT_EVERYWHERE.items():
        try:
            socket.socket(socket.AF_INET, kind, number).close()
        except OSError:
            found.add(name)
    return found


def others() -> None:
    """UDP and raw sockets, and UDP-Lite and MPTCP ones where there are such."""
    udp(("0.0.0.0", 9050))
    udp(("::", 9051))
    udp().connect(("127.0.0.1", 9050))
    connected(("::1", 9051), make=udp)
    keep(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
    keep(socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))
    if "udplite" not in missing():
        lite = keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, IPPROTO_UDPLITE))
        lite.bind(("127.0.0.1", 9052))
    if "mptcp" not in missing():
        multipath()


def multipath() -> None:
    """Both ends of an MPTCP connection, and its listener."""
    server = keep(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP))
    server.bind(("127.0.0.1", 9060))
    server.listen()
    client = keep(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP))
    client.connect(("127.0.0.1", 9060))
    keep(server.accept()[0])
