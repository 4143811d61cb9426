"""
The fall-back where sock_diag is missing: the socket tables of ``/proc/net``.

Rules of this file:

- read and parse stand apart: ``parse_sockets`` takes lines and nothing else;
- a table is streamed, never held: a million sockets are 150 MB of text;
- the files are those of the calling thread's namespace
  (``/proc/thread-self/net``), since a thread may be in another one;
- a line that cannot be read is an error, never left out.

What these files do not tell: sockets that are only bound (TCP), devices,
v6only, whether a port was asked for, and the limit of a listener's backlog.

Source: Linux net/ipv4/tcp_ipv4.c, tcp4_seq_show; net/ipv6/tcp_ipv6.c,
tcp6_seq_show; net/ipv4/udp.c, udp4_format_sock; net/ipv4/raw.c.
"""

from __future__ import annotations

import errno
import os
import struct
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import NamedTuple

from portroom.errors import KernelDataError
from portroom.kernel.files import PROC
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Groups, GroupTable, Inbound, Rows
from portroom.model.facts.sockets import (
    MAPPED,
    Family,
    Kind,
    Protocol,
    TcpState,
    address_text,
)
from portroom.model.laws.buckets import Listeners

FILES = {
    Protocol.TCP: ("tcp", "tcp6"),
    Protocol.UDP: ("udp", "udp6"),
    Protocol.UDPLITE: ("udplite", "udplite6"),
    Protocol.RAW: ("raw", "raw6"),
}

CHUNK_BYTES = 65536

USER_HZ = os.sysconf("SC_CLK_TCK")
"""Clock ticks a second, in which these files tell times."""

STATES = {state.value: state for state in TcpState}

IPV4_WORD, IPV6_WORDS = struct.Struct(">I"), struct.Struct(">4I")
NATIVE_WORD, NATIVE_WORDS = struct.Struct("=I"), struct.Struct("=4I")


class SocketLine(NamedTuple):
    """
    One line of a table. Addresses are 16 bytes as in sock_diag.

    A v4-mapped socket is IPV4. ``remaining_ms`` is until the running timer
    fires; of TIME_WAIT: until it ends.
    """

    family: Family
    state: TcpState
    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    send_queue_bytes: int
    recv_queue_bytes: int
    remaining_ms: int
    uid: int
    inode: int

    @property
    def key(self) -> bytes:
        """Return the group key; the device is unknown here and stands as 0."""
        return self.remote_port.to_bytes(2, "big") + self.local + self.remote + bytes(4)


def read_groups(
    scope: PortRange | None = None,
    proc: str = PROC,
    protocols: Iterable[Protocol] = (Protocol.TCP, Protocol.UDP),
) -> Groups:
    """
    Read the TCP and UDP sockets of the calling thread's namespace, grouped.

    Args:
        scope: Local ports asked for, ends included; None for all. Listeners
            are read whatever their port.
        proc: Where procfs is mounted.
        protocols: Which of the two to read.

    Raises:
        OSError: These files are missing too.
        KernelDataError: A line cannot be read.
    """
    sorter = _Sorter(_read_listeners(proc), scope)
    for protocol in protocols:
        for line in read_sockets(protocol, proc):
            sorter.add(protocol, line)
    return sorter.groups()


def read_rows(protocols: Iterable[Protocol] = tuple(FILES), proc: str = PROC) -> Rows:
    """
    Read the sockets of some protocols one by one, as columns.

    The queue limit of listeners is not told here and stands as 0.

    Raises:
        OSError: There is no file for one of the protocols.
        KernelDataError: A line cannot be read.
    """
    rows = Rows(*([] for _ in Rows.__struct_fields__))
    for protocol in protocols:
        for line in read_sockets(protocol, proc):
            _append(rows, protocol, line)
    return rows


def read_sockets(protocol: Protocol, proc: str = PROC) -> Iterator[SocketLine]:
    """
    Yield the sockets of a protocol, of both families where both are on.

    Raises:
        OSError: Neither family has a file for this protocol.
        KernelDataError: A line cannot be read.
    """
    for path in _files(protocol, proc):
        yield from _read_file(path)


def _files(protocol: Protocol, proc: str) -> list[str]:
    """Return the files of a protocol; a family that is off has none."""
    folder = f"{proc}/thread-self/net"
    paths = [f"{folder}/{name}" for name in FILES.get(protocol, ())]
    found = [path for path in paths if os.path.exists(path)]
    if not found:
        number = errno.ENOENT
        raise OSError(number, os.strerror(number), f"{folder}/{protocol.value}")
    return found


def _read_file(path: str) -> Iterator[SocketLine]:
    """Yield the sockets of one file."""
    with open(path, "rb", buffering=CHUNK_BYTES) as file:
        yield from parse_sockets(file, where=path)


def parse_sockets(lines: Iterable[bytes], *, where: str) -> Iterator[SocketLine]:
    """
    Parse the lines of one table, header included; *where* is named in errors.

    Raises:
        KernelDataError: A line is not what the kernel writes; it is quoted.
    """
    lines = iter(lines)
    header = next(lines, b"")
    if b"local_address" not in header:
        raise KernelDataError(f"{where}: expected a header, got {header[:80]!r}.")
    for line in lines:
        try:
            yield parse_line(line)
        except (ValueError, KeyError, IndexError, struct.error):
            raise KernelDataError(f"{where}: expected a socket, got {line[:200]!r}.") from None


def parse_line(line: bytes) -> SocketLine:
    """
    Parse one line of a table.

    Raises:
        ValueError, KeyError, IndexError, struct.error: It is none.
    """
    fields = line.decode("ascii").split(None, 10)
    local, local_port = _endpoint(fields[1])
    remote, remote_port = _endpoint(fields[2])
    send_queue, _, recv_queue = fields[4].partition(":")
    family = Family.IPV4 if len(local) == 4 else Family.IPV6
    if local[:12] == MAPPED or remote[:12] == MAPPED:
        family, local, remote = Family.IPV4, local[12:], remote[12:]
    return SocketLine(
        family,
        STATES[int(fields[3], 16)],
        local.ljust(16, b"\0"),
        local_port,
        remote.ljust(16, b"\0"),
        remote_port,
        int(send_queue, 16),
        int(recv_queue, 16),
        # "03:0000175A": which timer runs, and for how many ticks.
        int(fields[5].partition(":")[2], 16) * 1000 // USER_HZ,
        int(fields[7]),
        int(fields[9]),
    )


def _endpoint(text: str) -> tuple[bytes, int]:
    """
    Return address and port of ``0100007F:1F90``.

    The address is printed by words, each as a number of the machine's order.
    """
    address, _, port = text.partition(":")
    packed = bytes.fromhex(address)
    if len(packed) == 4:
        packed = NATIVE_WORD.pack(*IPV4_WORD.unpack(packed))
    else:
        packed = NATIVE_WORDS.pack(*IPV6_WORDS.unpack(packed))
    return packed, int(port, 16)


def _append(rows: Rows, protocol: Protocol, line: SocketLine) -> None:
    """Add one socket to the columns."""
    rows.protocol.append(protocol)
    rows.family.append(line.family)
    rows.state.append(line.state)
    rows.local_address.append(address_text(line.family, line.local))
    rows.local_port.append(line.local_port)
    rows.remote_address.append(address_text(line.family, line.remote))
    rows.remote_port.append(line.remote_port)
    rows.recv_queue_bytes.append(line.recv_queue_bytes)
    rows.send_queue_bytes.append(line.send_queue_bytes)
    rows.uid.append(line.uid)
    rows.inode.append(line.inode)
    rows.device.append(0)


def _read_listeners(proc: str) -> Listeners:
    """Read the TCP listeners: they stand first in each file."""
    sorter = _Sorter(Listeners(Groups((), ())), None)
    for path in _files(Protocol.TCP, proc):
        for line in takewhile(_listens, _read_file(path)):
            sorter.add(Protocol.TCP, line)
    return Listeners(sorter.groups())


def _listens(line: SocketLine) -> bool:
    """Say whether a socket is a listener."""
    return line.state is TcpState.LISTEN


_Class = tuple[Protocol, Family, TcpState]
"""What the sockets of one table have in common."""


class _Sorter:
    """Sort sockets into groups as they come."""

    def __init__(self, listeners: Listeners, scope: PortRange | None) -> None:
        self._listeners = listeners
        self._scope = scope
        self._ports: dict[_Class, dict[bytes, array[int]]] = {}
        self._times: dict[_Class, dict[bytes, array[int]]] = {}
        self._inbound: Counter[tuple[Family, bytes, int, TcpState]] = Counter()

    def add(self, protocol: Protocol, line: SocketLine) -> None:
        """Put one socket into its group, or count it under its listener."""
        tcp = protocol is Protocol.TCP
        if not (tcp and _listens(line)):
            if self._scope is not None and line.local_port not in self._scope:
                return
            if tcp and self._listeners.cover(line.family, line.local, line.local_port):
                place = line.family, line.local, line.local_port, line.state
                self._inbound[place] += 1
                return
        self._append((protocol, line.family, line.state), line)

    def groups(self) -> Groups:
        """Return all groups."""
        tables = tuple(
            GroupTable(*place, _kind(*place), None, ports, self._times[place])
            for place, ports in self._ports.items()
        )
        inbound = tuple(
            Inbound(Protocol.TCP, *place, sockets) for place, sockets in self._inbound.items()
        )
        return Groups(tables, inbound, self._scope, devices_seen=False)

    def _append(self, place: _Class, line: SocketLine) -> None:
        """Append a local port, of TIME_WAIT with its remaining time."""
        ports = self._ports.setdefault(place, {})
        times = self._times.setdefault(place, {})
        key = line.key
        ports.setdefault(key, array("H")).append(line.local_port)
        if line.state is TcpState.TIME_WAIT:
            times.setdefault(key, array("I")).append(line.remaining_ms)


def _kind(protocol: Protocol, _: Family, state: TcpState) -> Kind:
    """Return what is known of where a socket's port came from."""
    listener = protocol is Protocol.TCP and state is TcpState.LISTEN
    return Kind.LISTENER if listener else Kind.UNKNOWN
