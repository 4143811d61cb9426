"""A host that translates addresses, and tables of tracked connections that are full.

Rules of this file:

- the present namespace is the host in the middle; client and server are namespaces
  beside it, which end with the child that made them;
- a port range that is full is made by connections, each as real as any other;
- nf_conntrack_max is one number for the whole machine, which no namespace may
  change: so the table of a namespace is filled up to it, by entries of its own.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portroom.kernel.netstat import parse_count
from tests.kernel import harness
from tests.kernel.sockets import error_name, family_of, listener, take, tcp, udp

SERVER_PORT = 9000

LIMIT = Path("/proc/sys/net/netfilter/nf_conntrack_max")
COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")

MOST_ENTRIES = 1_100_000
"""A table larger than this is not filled: that would cost 330 MB of the kernel's memory."""


class Beside:
    """A namespace on the other end of a veth pair; this side's device is called *name*."""

    def __init__(self, name: str, number: int) -> None:
        self.here, self.there = f"10.{number}.0.1", f"10.{number}.0.2"
        self.here6, self.there6 = f"fd00:{number}::1", f"fd00:{number}::2"
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        harness.unshare(harness.CLONE_NEWNET)
        self._away = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        harness.set_up("lo")
        self._enter(self._home)
        run("ip", f"link add {name} type veth peer name far netns {self.path}")
        _address(name, self.here, self.here6)
        with self.inside():
            _address("far", self.there, self.there6)
            run("ip", f"route add default via {self.here}")
            run("ip", f"-6 route add default via {self.here6}")

    @property
    def path(self) -> str:
        """Return a path of the namespace, for as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._away}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be there for the length of a ``with`` block."""
        self._enter(self._away)
        try:
            yield
        finally:
            self._enter(self._home)

    @staticmethod
    def _enter(handle: int) -> None:
        """Move the calling thread into a namespace."""
        if harness.LIBC.setns(handle, harness.CLONE_NEWNET) != 0:
            raise OSError("setns")


class NatHost:
    """
    The present namespace forwards from a client to a server, and translates sources.

    The client is 10.7.0.2, the server 10.8.0.2 with TCP listeners and UDP sockets on
    ``SERVER_PORT`` and the one after it; what the client sends arrives from 10.8.0.1.
    ``remote`` and ``translated`` say so for tests. IPv6 likewise.

    Args:
        rule: The statement for what leaves towards the server, such as
            ``masquerade to :50000-50009``; "" translates nothing and tracks all.
        match: What of it the rule is for.
    """

    def __init__(
        self,
        rule: str = "masquerade to :50000-50009",
        match: str = "meta l4proto { tcp, udp }",
    ) -> None:
        self.client, self.server = Beside("inside", 7), Beside("outside", 8)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
        self.remote, self.remote6 = self.server.there, self.server.there6
        self.translated, self.translated6 = self.server.here, self.server.here6
        nft(
            "add table inet made",
            "add chain inet made out { type nat hook postrouting priority 100; }",
            f"add rule inet made out oifname outside {match} {rule}"
            if rule
            else "add rule inet made out ct state new counter",
        )
        with self.server.inside():
            self._served = [
                make(address, port)
                for address in (self.remote, self.remote6)
                for port in (SERVER_PORT, SERVER_PORT + 1)
                for make in (listener, lambda *where: udp(where))
            ]

    def connect(self, port: int = SERVER_PORT, *, six: bool = False) -> socket.socket:
        """
        Return a TCP connection from the client; it waits one second for an answer.

        Raises:
            OSError: ETIMEDOUT where no port is left for the translation.
        """
        remote = (self.remote6 if six else self.remote, port)
        with self.client.inside():
            return connect_soon(remote)

    def fill(self, port: int = SERVER_PORT, at_most: int = 10) -> int:
        """Connect until it times out, at most so many times; return how many connected."""
        return take(lambda: self.connect(port), at_most).count

    def syns(self) -> int:
        """Return how many SYNs the client has sent, those sent again included."""
        with self.client.inside():
            return syns()

    def one_more(self, port: int = SERVER_PORT) -> str:
        """Return "ok", or the name of the errno of one more connect of the client."""
        try:
            self.connect(port)
        except OSError as error:
            return error_name(error)
        return "ok"

    def send(self, datagrams: int, port: int = SERVER_PORT) -> None:
        """Send UDP datagrams from the client, each from a port of its own."""
        with self.client.inside():
            for _ in range(datagrams):
                udp().sendto(b"x", (self.remote, port))


def connect_soon(remote: tuple[str, int]) -> socket.socket:
    """
    Return a TCP connection, given up after one second and one or two SYNs.

    Raises:
        OSError: ETIMEDOUT where nobody answers.
    """
    made = tcp(family=family_of(remote))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
    try:
        made.connect(remote)
    except OSError:
        made.close()
        raise
    return made


def syns() -> int:
    """Return how many SYNs this namespace has sent, where nothing else was sent again."""
    snmp = Path("/proc/thread-self/net/snmp").read_text()
    return sum(parse_count(snmp, "Tcp", name, "snmp") for name in ("ActiveOpens", "RetransSegs"))


def track_all() -> None:
    """Track the connections of the present namespace."""
    nft(
        "add table inet tracked",
        "add chain inet tracked out { type filter hook output priority 0; }",
        "add rule inet tracked out ct state new counter",
    )


def fill_table() -> int:
    """
    Fill the table of the present namespace; return how many entries it holds.

    They are seen to be answered, so that none is given up for a new one. It takes
    three seconds for each million, and 300 MB of the kernel's memory until the
    namespace ends; nothing outside of it is changed.

    Raises:
        RuntimeError: The limit of this machine is too high to be reached in a test.
    """
    limit = int(LIMIT.read_text())
    if not 0 < limit <= MOST_ENTRIES:
        raise RuntimeError(f"nf_conntrack_max is {limit}: too many entries to make")
    add_entries(limit + 1)
    return int(COUNT.read_text())


def add_entries(number: int, remotes: int = 1, translated: str = "") -> None:
    """
    Track made up UDP connections to port 53 of remotes from 10.200.0.0 on, by ctnetlink.

    Args:
        number: How many; those over the limit are refused by the kernel.
        remotes: How many remotes they are spread over, evenly.
        translated: The address that their sources are translated to, ports kept;
            then there may be 50,000 for each remote.
    """
    suffix = _source_nat(translated) if translated else b""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as handle:
        for start in range(0, number, 500):  # what fits into the usual send buffer
            numbers = range(start, min(number, start + 500))
            handle.send(b"".join(_entry(one, remotes, suffix) for one in numbers))


NETLINK_NETFILTER = 12

ENTRY = struct.Struct(
    "=IHHII BBH"  # header, family
    "HH HHHH4sHH4s HHHHB3xHH2s2xHH2s2x"  # the tuple of the original direction
    "HH HHHH4sHH4s HHHHB3xHH2s2xHH2s2x"  # and of replies
    "HHI HHI"  # status, timeout
)
CREATE_NEW = 0x1 | 0x400
"""NLM_F_REQUEST, NLM_F_CREATE: nothing is answered, but for errors."""

ANSWERED = socket.htonl(0x2 | 0x4 | 0x8)
"""IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED."""

TIMEOUT_S = socket.htonl(600)


def _entry(number: int, remotes: int, suffix: bytes) -> bytes:
    """Return the request to track one connection."""
    turn, remote = divmod(number, remotes)
    near = (0x0A640000 + turn // 50_000).to_bytes(4, "big")
    far = (0x0AC80000 + remote).to_bytes(4, "big")
    ports = (10_000 + turn % 50_000).to_bytes(2, "big"), b"\0\x35"
    fixed = ENTRY.pack(
        ENTRY.size + len(suffix), 1 << 8, CREATE_NEW, number + 1, 0, socket.AF_INET, 0, 0,
        *_tuple(1, near, far, *ports),
        *_tuple(2, far, near, *ports[::-1]),
        8, 3, ANSWERED, 8, 7, TIMEOUT_S,
    )  # fmt: skip
    return fixed + suffix


def _tuple(which: int, source: bytes, target: bytes, port: bytes, to_port: bytes) -> list[object]:
    """Return the fields of one direction, each with its attribute's header."""
    return [
        52, which | 0x8000, 20, 0x8001, 8, 1, source, 8, 2, target,
        28, 0x8002, 5, 1, socket.IPPROTO_UDP, 6, 2, port, 6, 3, to_port,
    ]  # fmt: skip


def _source_nat(address: str) -> bytes:
    """Return the attribute CTA_NAT_SRC: this address, whatever port is free."""
    packed = socket.inet_aton(address)
    return struct.pack("=HHHH4sHH4s", 20, 0x8006, 8, 1, packed, 8, 2, packed)


def nft(*lines: str) -> None:
    """
    Run lines of nft in the present namespace, at most a hundred at once.

    Raises:
        RuntimeError: It was refused, with what nft says.
    """
    for start in range(0, len(lines), 100):
        text = "\n".join(lines[start : start + 100])
        done = subprocess.run(
            ["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"nft: {done.stderr.strip()}")


def run(program: str, words: str) -> str:
    """Run a program in the present namespace and return what it prints."""
    done = subprocess.run([program, *words.split()], check=True, capture_output=True, text=True)
    return done.stdout


def _address(device: str, *addresses: str) -> None:
    """Give a device its addresses, and bring it up."""
    for address in addresses:
        bits = "64 nodad" if ":" in address else "24"
        run("ip", f"address add {address}/{bits} dev {device}")
    harness.set_up(device)
