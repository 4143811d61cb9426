"""Sort the rows of a sock_diag dump into groups, fast.

Rules of this file:

- bytes in, tables out; it asks nothing;
- the kernel's dump costs about 0.8 us a socket, so everything here is done to
  add little to it: the rows of a datagram mostly have one length, and then one
  ``unpack`` takes the datagram apart and C loops do the sorting;
- a row that cannot be taken is an error, never left out.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import repeat

from portroom.errors import KernelDataError
from portroom.kernel import sock_diag
from portroom.model.facts.snapshot import GroupTable, Inbound
from portroom.model.facts.sockets import MAPPED, Family, Kind, Protocol, TcpState
from portroom.model.laws.spaces import UNBOUND_DEVICE

COMPACT_ROWS = 65_536
"""Rows between two packings: a packed port takes 2 bytes, a Python one 40."""

PACKED_ROWS_A_GROUP = 4
"""Rows for each group before it is worth while to visit all groups."""

COMPACT_PORTS = 32
"""Lists shorter than this stay lists: packing them would gain nothing."""

Covers = Callable[[Family, bytes, int], bool]
"""Does a listener cover (family, local address of 16 bytes, local port)?"""

_ROW = struct.Struct(">16xBBxxH38s8xI")
"""Family, state, local port, addresses, expires; expires comes byte-swapped."""

_Columns = tuple[Iterable[int], Iterable[bytes], Iterable[int]]
"""Local ports, addresses, and remaining times as the wire has them."""

_NO_PORT = bytes(value for value in range(256) if not value & sock_diag.NO_PORT_BIT)
"""SOCKOPT bytes without the NO_PORT bit."""

Numbers = dict[bytes, "list[int] | array[int]"]
"""Ports or times by group key."""

_Class = tuple[bytes, bool]
"""Family and state as two bytes, and whether NO_PORT is set."""


class Table:
    """
    The ports of one class of sockets by group key, packed as they come.

    ``times`` holds, in the same order, the remaining times as the wire has
    them; only a timed Collector fills it.
    """

    def __init__(self) -> None:
        self.ports = Column("H")
        self.times = Column("I")


class Column:
    """Numbers by group key: short lists, and packed arrays of long ones."""

    def __init__(self, typecode: str) -> None:
        self.lists: defaultdict[bytes, list[int]] = defaultdict(list)
        self._packed: dict[bytes, array[int]] = {}
        self._typecode = typecode

    def pack(self) -> None:
        """Move long lists into packed arrays."""
        for key, numbers in self.lists.items():
            if len(numbers) >= COMPACT_PORTS:
                packed = self._packed.setdefault(key, array(self._typecode))
                # An array is copied; a list would be taken number by number.
                packed.extend(array(self._typecode, numbers))
                numbers.clear()

    def result(self) -> Numbers:
        """Return all numbers by group key."""
        found: Numbers = dict(self.lists)
        for key, packed in self._packed.items():
            packed.extend(self.lists[key])
            found[key] = packed
        return found


class Collector:
    """
    Take the datagrams of TCP or UDP dumps and sort their rows.

    Args:
        listening: Local ports with a listener; rows on them are looked at.
        covers: Tells whether a listener covers a row, which then folds; None
            where there is no listener.
        timed: Whether to keep the remaining times (of TIME_WAIT).
        unbound: Whether rows fold only if they are bound to no device: what folds
            does not tell its device.
    """

    def __init__(
        self,
        listening: frozenset[int] = frozenset(),
        covers: Covers | None = None,
        *,
        timed: bool = False,
        unbound: bool = False,
    ) -> None:
        self.rows = 0
        self._unbound = unbound
        self._timed = timed
        self.tables: defaultdict[_Class, Table] = defaultdict(Table)
        self.inbound: defaultdict[tuple[bytes, bytes, int], int] = defaultdict(int)
        self._listening = listening
        self._covers = covers
        self._covered: dict[tuple[bytes, bytes, int], bool] = {}
        self._columns: dict[tuple[int, int], struct.Struct] = {}
        self._unpacked_rows = 0

    def feed(self, datagram: memoryview) -> None:
        """
        Sort the rows of one datagram.

        Raises:
            KernelDataError: The bytes are no chain of sock_diag messages.
        """
        # Columns are cut out of bytes three times as fast as out of a memoryview.
        data = bytes(datagram)
        length = len(data)
        stride = data[0] | data[1] << 8 if length >= sock_diag.ATTRIBUTES else 0
        if stride < sock_diag.ATTRIBUTES:
            raise KernelDataError(f"sock_diag: a datagram of {length} bytes holds no socket.")
        rows = length // stride
        regular = rows > 1 and rows * stride == length and same_headers(data, stride, rows)
        if not regular:
            rows = self._feed_irregular(datagram)
        elif not self._feed_uniform(data, stride, rows):
            self._feed_mixed(data, stride, rows)
        self.rows += rows
        self._unpacked_rows += rows
        if self._unpacked_rows >= COMPACT_ROWS:
            self._pack()

    def _pack(self) -> None:
        """Pack the tables, unless they have so many groups that it takes longer."""
        groups = sum(len(table.ports.lists) for table in self.tables.values())
        if self._unpacked_rows >= PACKED_ROWS_A_GROUP * groups:
            self._unpacked_rows = 0
            for table in self.tables.values():
                table.ports.pack()
                table.times.pack()

    def _unpack(self, datagram: bytes, stride: int, rows: int) -> _Columns:
        """Return the columns of ports, addresses and times of regular rows."""
        columns = self._columns.get((stride, rows))
        if columns is None:
            time = "8xI" if self._timed else "12x"
            rest = stride - sock_diag.RECV_QUEUE
            row = f"{sock_diag.LOCAL_PORT}xH38s{time}{rest}x"
            columns = self._columns[stride, rows] = struct.Struct(">" + row * rows)
        flat = columns.unpack_from(datagram)
        if self._timed:
            return flat[0::3], flat[1::3], flat[2::3]
        return flat[0::2], flat[1::2], repeat(0)

    def _feed_uniform(self, datagram: bytes, stride: int, rows: int) -> bool:
        """Sort rows of one family and state with C loops; False if they are not."""
        head = datagram[sock_diag.FAMILY : sock_diag.STATE + 1]
        families = datagram[sock_diag.FAMILY :: stride]
        states = datagram[sock_diag.STATE :: stride]
        if families.count(head[:1]) != rows or states.count(head[1:]) != rows:
            return False
        flags = _flags(datagram, stride, rows)
        if flags is None or flags.translate(None, _NO_PORT):
            return False
        ports, keys, times = self._unpack(datagram, stride, rows)
        if not self._listening.isdisjoint(ports):
            return False
        table = self.tables[head, False]
        deque(map(list.append, map(table.ports.lists.__getitem__, keys), ports), 0)
        if self._timed:
            deque(map(list.append, map(table.times.lists.__getitem__, keys), times), 0)
        return True

    def _feed_mixed(self, datagram: bytes, stride: int, rows: int) -> None:
        """Sort rows of one length but of several families, states or kinds."""
        flags = _flags(datagram, stride, rows)
        if flags is None:
            self._feed_irregular(memoryview(datagram))
            return
        families = datagram[sock_diag.FAMILY :: stride]
        states = datagram[sock_diag.STATE :: stride]
        ports, keys, times = self._unpack(datagram, stride, rows)
        self._sort(zip(families, states, flags, ports, keys, times, strict=False))

    def _feed_irregular(self, datagram: memoryview) -> int:
        """Sort rows of several lengths; return their number."""
        rows = []
        for message in sock_diag.messages(datagram):
            family, state, port, key, time = _ROW.unpack_from(message)
            found = sock_diag.attributes(message, sock_diag.ATTRIBUTES)
            flags = int.from_bytes(found.get(sock_diag.SOCKOPT, b"")[1:2], "little")
            rows.append((family, state, flags, port, key, time))
        self._sort(rows)
        return len(rows)

    def _sort(self, rows: Iterable[tuple[int, int, int, int, bytes, int]]) -> None:
        """Put each row into its table, or count it where a listener covers it."""
        listening, timed = self._listening, self._timed
        by_class: dict[tuple[int, int, int], Table] = {}
        for family, state, flag, port, key, time in rows:
            if port in listening and self._folds(family, state, key, port):
                continue
            table = by_class.get((family, state, flag))
            if table is None:
                no_port = bool(flag & sock_diag.NO_PORT_BIT)
                table = self.tables[bytes((family, state)), no_port]
                by_class[family, state, flag] = table
            table.ports.lists[key].append(port)
            if timed:
                table.times.lists[key].append(time)

    def _folds(self, family: int, state: int, key: bytes, port: int) -> bool:
        """Count a row under its listener; False where none covers its address."""
        if self._unbound and key[34:] != UNBOUND_DEVICE:
            return False
        place = bytes((family, state)), key[2:18], port
        covered = self._covered.get(place)
        if covered is None:
            real, _ = class_of(place[0])
            covered = self._covers is not None and self._covers(real, key[2:18], port)
            self._covered[place] = covered
        if covered:
            self.inbound[place] += 1
        return covered


class SplitCollector:
    """
    A Collector each for rows that are v6only, dual-stack, and do not tell.

    The kernel tells it of IPv6 sockets without a remote. Slower than one
    Collector: for rows that are few.

    Source: Linux net/ipv4/inet_diag.c, inet_diag_msg_attrs_fill.
    """

    def __init__(self) -> None:
        self._parts: defaultdict[bool | None, Collector] = defaultdict(Collector)

    def feed(self, datagram: memoryview) -> None:
        """
        Sort the rows of one datagram.

        Raises:
            KernelDataError: The bytes are no chain of sock_diag messages.
        """
        for message in sock_diag.messages(datagram):
            found = sock_diag.attributes(message, sock_diag.ATTRIBUTES)
            told = found.get(sock_diag.SKV6ONLY)
            self._parts[None if told is None else any(told)].feed(message)

    def tables(self, protocol: Protocol, kind: Kind) -> tuple[GroupTable, ...]:
        """Return the tables of all rows, v4-mapped addresses folded to IPv4."""
        found = []
        for v6only, part in self._parts.items():
            for table in tables(part, protocol, kind):
                table.v6only = v6only
                found.append(table)
        return tuple(found)


def same_headers(datagram: bytes, stride: int, rows: int) -> bool:
    """Say whether a message of the first one's length and sequence starts each row."""
    return all(
        datagram[offset::stride].count(datagram[offset : offset + 1]) == rows
        for offset in (0, 4, 8, 9, 10, 11)
    )


def _flags(datagram: bytes, stride: int, rows: int) -> bytes | None:
    """
    Return the column of SOCKOPT's second byte, zeros where rows have none.

    None if the attribute does not stand at one place in every row.
    """
    start = sock_diag.ATTRIBUTES
    while start + 4 <= stride:
        length = datagram[start] | datagram[start + 1] << 8
        if datagram[start + 2] == sock_diag.SOCKOPT:
            numbers = datagram[start + 2 :: stride]
            lengths = datagram[start::stride]
            same = numbers.count(numbers[:1]) == rows == lengths.count(lengths[:1])
            return datagram[start + 5 :: stride][:rows] if same else None
        if length < 4:
            break
        start += length + 3 & ~3
    return bytes(rows)


def class_of(head: bytes) -> tuple[Family, TcpState]:
    """
    Return family and state of a row from these two bytes.

    Raises:
        KernelDataError: There is no such family or state.
    """
    try:
        return Family(head[0]), TcpState(head[1])
    except ValueError:
        raise KernelDataError(
            f"sock_diag: expected a socket of a known family and state, "
            f"got family {head[0]} and state {head[1]}."
        ) from None


def tables(collector: Collector, protocol: Protocol, kind: Kind) -> tuple[GroupTable, ...]:
    """Return the tables of a Collector, v4-mapped addresses folded to IPv4."""
    found = []
    for (head, no_port), table in collector.tables.items():
        family, state = class_of(head)
        ports = split_mapped(family, table.ports.result())
        # Other short rows have a timer too, and it is no age.
        ended = table.times.result() if state is TcpState.TIME_WAIT else {}
        times = split_mapped(family, milliseconds(ended))
        one_kind = Kind.NO_PORT if no_port and kind is Kind.UNKNOWN else kind
        found += [
            GroupTable(protocol, real, state, one_kind, None, part, times[real])
            for real, part in ports.items()
            if part
        ]
    return tuple(found)


def milliseconds(times: Numbers) -> Numbers:
    """Return times as read by a big-endian ``unpack`` in the machine's order."""
    swapped = {}
    for key, numbers in times.items():
        packed = array("I", numbers)
        if sys.byteorder == "little":
            packed.byteswap()
        swapped[key] = packed
    return dict(swapped)


def split_mapped(family: Family, numbers: Numbers) -> dict[Family, Numbers]:
    """Return groups by real family: v4-mapped local addresses are IPv4."""
    mapped: Numbers = {}
    if family is Family.IPV6:
        for key in [key for key in numbers if key[2:14] == MAPPED]:
            mapped[unmapped_key(key)] = numbers.pop(key)
        return {Family.IPV6: numbers, Family.IPV4: mapped}
    return {Family.IPV4: numbers}


def unmapped_key(key: bytes) -> bytes:
    """Return the IPv4 group key of a v4-mapped IPv6 one."""
    pad = bytes(12)
    remote = key[30:34] if key[18:30] == MAPPED else bytes(4)
    return key[:2] + key[14:18] + pad + remote + pad + key[34:38]


def inbound(collector: Collector, protocol: Protocol) -> tuple[Inbound, ...]:
    """Return the folded sockets of a Collector, v4-mapped addresses as IPv4."""
    found = []
    for (head, packed, port), sockets in collector.inbound.items():
        (family, state), address = class_of(head), packed
        if family is Family.IPV6 and address[:12] == MAPPED:
            family, address = Family.IPV4, address[12:] + bytes(12)
        found.append(Inbound(protocol, family, address, port, state, sockets))
    return tuple(found)
