"""What sock_diag is asked, and its replies as they came.

Rules of this file: a reply is kept datagram by datagram, with its headers; nothing is judged.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, NamedTuple

from portroom.kernel import bytecode, sock_diag
from portroom.kernel.netlink import DUMP, HEADER, NETLINK_SOCK_DIAG, REQUEST, closing_start
from portroom.kernel.rows import NUMBERS
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import Protocol, TcpState

SEQUENCE = 1
"""The sequence number of every recorded request."""

RECEIVE_BYTES = 32768
SMALL_RECEIVE_BYTES = 8192
"""The kernel fills datagrams up to the largest buffer that it was offered."""

DCCP = 33
"""A protocol that has no handler."""

ALL = sock_diag.ALL_STATES
BEFORE_BOUND_INACTIVE = 0xFFF
BOUND = 1 << TcpState.BOUND_INACTIVE
TIME_WAIT = 1 << TcpState.TIME_WAIT
ESTABLISHED = 1 << TcpState.ESTABLISHED
EVERY_EXTENSION = 0xFF
NO_COOKIE = 0xFFFFFFFF


class Dump(NamedTuple):
    """
    One question.

    Args:
        name: The file of its reply is ``diag-<name>.bin``.
        what: The question in words.
        payload: The request behind the netlink header.
        flags: Of the header; without the flags of a dump the reply is one message.
        receive_bytes: The buffer offered to the kernel.
    """

    name: str
    what: str
    payload: bytes
    flags: int = DUMP
    receive_bytes: int = RECEIVE_BYTES

    @property
    def file(self) -> str:
        """Return the name of the file of its reply."""
        return f"diag-{self.name}.bin"

    @property
    def request(self) -> bytes:
        """Return the whole request."""
        length = HEADER.size + len(self.payload)
        header = HEADER.pack(length, sock_diag.SOCK_DIAG_BY_FAMILY, self.flags, SEQUENCE, 0)
        return header + self.payload


class Reply(NamedTuple):
    """What the kernel sent to one question."""

    dump: Dump
    datagrams: list[bytes]

    @property
    def told(self) -> dict[str, Any]:
        """Return what ``index.json`` tells of it."""
        return {
            "what": self.dump.what,
            "request_hex": self.dump.request.hex(),
            "datagram_lengths": list(map(len, self.datagrams)),
        }


def ask(dump: Dump) -> Reply:
    """Return the reply to a question, asked in the present namespace."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(10)
        netlink.send(dump.request)
        datagrams = [netlink.recv(dump.receive_bytes)]
        while dump.flags == DUMP and closing_start(memoryview(datagrams[-1])) is None:
            datagrams.append(netlink.recv(dump.receive_bytes))
    return Reply(dump, datagrams)


def dumps_of(manifest: list[dict[str, Any]]) -> list[Dump]:
    """Return what is asked about the known sockets, the most fleeting first."""
    return [*tables("4", socket.AF_INET), *tables("6", socket.AF_INET6), *filtered(manifest)]


def tables(version: str, family: int) -> list[Dump]:
    """Return the dumps of one family without a filter but by state."""

    def tcp(name: str, what: str, states: int) -> Dump:
        payload = sock_diag.request(family, NUMBERS[Protocol.TCP], states)
        return Dump(f"tcp{version}{name}", f"TCP, {what}", payload)

    udp = sock_diag.request(family, NUMBERS[Protocol.UDP], ALL)
    return [
        tcp("", "all states (mask 0xffffffff: bit 13 = BOUND_INACTIVE set)", ALL),
        tcp(
            "-states-fff",
            "mask 0xfff (the mask that ss -a used before bit 13 existed)",
            BEFORE_BOUND_INACTIVE,
        ),
        tcp("-bound", "mask 1<<13 only", BOUND),
        tcp("-timewait", "mask 1<<6 only", TIME_WAIT),
        Dump(f"udp{version}", "UDP, all states", udp),
    ]


def filtered(manifest: list[dict[str, Any]]) -> list[Dump]:
    """Return the dumps of IPv4 with a filter program, and those that find one socket or none."""
    port_9000 = bytecode.program(bytecode.remote_ports(PortRange(9000, 9000)))
    port_1 = bytecode.program(bytecode.remote_ports(PortRange(1, 1)))
    automatic = bytecode.program([bytecode.automatic()])
    return [
        Dump(
            "tcp4-ext",
            "TCP ESTABLISHED with idiag_ext=0xff (MEMINFO, INFO, VEGASINFO, CONG, TOS, TCLASS, "
            "SKMEMINFO, SHUTDOWN)",
            tcp4(ESTABLISHED, extensions=EVERY_EXTENSION),
        ),
        Dump("tcp4-dport9000", "TCP, bytecode: remote port == 9000", tcp4(ALL, filter=port_9000)),
        Dump(
            "tcp4-auto",
            "TCP ESTABLISHED, bytecode AUTO (no explicit port)",
            tcp4(ESTABLISHED, filter=automatic),
        ),
        Dump(
            "tcp4-empty",
            "TCP, bytecode that nothing matches: NLMSG_DONE only",
            tcp4(ALL, filter=port_1),
        ),
        Dump(
            "no-handler",
            "dump for protocol 33 (DCCP), which has no handler here",
            sock_diag.request(socket.AF_INET, DCCP, ALL),
        ),
        Dump(
            "get-one",
            "exact lookup (no NLM_F_DUMP) of the first ESTABLISHED AF_INET socket of manifest.json",
            exactly(*first_established(manifest)),
            REQUEST,
        ),
        Dump(
            "get-none",
            "exact lookup of a tuple that does not exist",
            exactly({"address": "127.0.0.1", "port": 1}, {"address": "127.0.0.1", "port": 2}),
            REQUEST,
        ),
    ]


def many(connections: int) -> Dump:
    """Return the dump of one listener and both ends of many connections, in small datagrams."""
    what = (
        f"{2 * connections + 1} rows: listener 127.0.0.1:9000, {connections} client ends (remote "
        f"port 9000), {connections} server ends (local port 9000); recv buffer 8192"
    )
    return Dump("tcp4-many", what, tcp4(ALL), receive_bytes=SMALL_RECEIVE_BYTES)


def tcp4(states: int, *, extensions: int = 0, filter: bytes = b"") -> bytes:
    """Return a request for TCP over IPv4."""
    number = NUMBERS[Protocol.TCP]
    return sock_diag.request(socket.AF_INET, number, states, extensions=extensions, filter=filter)


def exactly(local: dict[str, Any], remote: dict[str, Any]) -> bytes:
    """Return the request for the one TCP socket over IPv4 between two ends."""
    ports = struct.pack("!HH", local["port"], remote["port"])
    ends = [socket.inet_aton(one["address"]).ljust(16, b"\0") for one in (local, remote)]
    device_and_cookie = struct.pack("=III", 0, NO_COOKIE, NO_COOKIE)
    identity = ports + b"".join(ends) + device_and_cookie
    return tcp4(ALL)[: -len(identity)] + identity


def first_established(manifest: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both ends of the first ESTABLISHED TCP socket over IPv4 that asked."""
    wanted = {"protocol": "tcp", "family": "AF_INET", "state": "ESTABLISHED"}
    for one in manifest:
        if wanted.items() <= one.items() and "accepted" not in one["port_from"]:
            return one["local"], one["remote"]
    raise LookupError("the manifest has no established connection")
