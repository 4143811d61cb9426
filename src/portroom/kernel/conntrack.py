"""Connection tracking of a namespace: what it refused, and whose source it translates.

Rules of this file:

- all is of the namespace of the calling thread;
- the counts are for everybody to read, the connections for CAP_NET_ADMIN alone:
  who may not list them is told so, unless there are none;
- where the kernel tracks nothing, nothing of netfilter is asked, so that nothing
  of it is loaded;
- memory and time are bounded: a table beyond the bounds is a Gap.

Source: Linux net/netfilter/nf_conntrack_netlink.c, nf_conntrack_standalone.c;
include/uapi/linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Iterable, Iterator
from contextlib import closing

from portroom.errors import KernelDataError
from portroom.kernel import nfnetlink
from portroom.kernel.ctnetlink import TRANSLATED, parse_key, parse_reply
from portroom.kernel.files import PROC, read_up_to
from portroom.kernel.limits import read_tracked
from portroom.kernel.nat_rules import NatRule, range_of, read_nat_rules
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import ConntrackStats, Translation

CT_GET, CT_GET_STATS_CPU = 1, 4

INSERT_FAILED, DROP, EARLY_DROP = 9, 10, 11
"""Attributes of the counts of one processor: CTA_STATS_INSERT_FAILED and so on."""

NAMES = ("insert_failed", "drop", "early_drop")
"""The same counts in ``/proc/net/stat/nf_conntrack``."""

LARGEST_STATS_BYTES = 1 << 21
"""A line of 150 bytes for each of 8192 processors, and as much again."""

MOST_CONNECTIONS = 2_000_000
"""Connections that are read: some eight seconds (0.35 s for 100,000)."""

MOST_REMOTES = 500_000
"""Remote endpoints that are told apart: some 90 MB (16 MB for 100,000)."""

AFFECTS = ("causes", "findings")


def read_conntrack_stats(proc: str = PROC) -> ConntrackStats | None:
    """
    Return what connection tracking refused since the namespace of the thread was made.

    Args:
        proc: Where the proc file system is mounted.

    Returns:
        The counts, None where this kernel does not track connections.

    Raises:
        OSError: They may not be read; EPERM where the kernel has no file of
            them (CONFIG_NF_CONNTRACK_PROCFS) and CAP_NET_ADMIN is missing.
        KernelDataError: They are not as expected.
    """
    try:
        text = _read_whole(f"{proc}/thread-self/net/stat/nf_conntrack")
    except FileNotFoundError:
        if read_tracked(proc) is None:
            return None
        return parse_stats_messages(nfnetlink.dump(nfnetlink.CONNTRACK, CT_GET_STATS_CPU))
    return parse_conntrack_stats(text)


def _read_whole(path: str) -> str:
    """Return the text of a file that the kernel gives out a page at a time."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_up_to(descriptor, LARGEST_STATS_BYTES).decode("ascii", "backslashreplace")
    finally:
        os.close(descriptor)


def parse_conntrack_stats(text: str) -> ConntrackStats:
    r"""
    Sum up ``/proc/net/stat/nf_conntrack``: names, then a line of hexadecimal counts a processor.

    Raises:
        KernelDataError: A count is missing or is no number.

    >>> parse_conntrack_stats("insert_failed drop early_drop\n0000000a 1 0\n2 1 0\n").dropped
    2
    """
    head, *lines = text.splitlines() or [""]
    names = head.split()
    try:
        places = [names.index(name) for name in NAMES]
        rows = [[int(words[place], 16) for place in places] for words in map(str.split, lines)]
    except (ValueError, IndexError):
        raise KernelDataError(
            f"nf_conntrack: expected lines with {', '.join(NAMES)}, got {text[:300]!r}."
        ) from None
    return _summed(rows)


def parse_stats_messages(messages: Iterable[memoryview]) -> ConntrackStats:
    """
    Sum up the counts of all processors.

    Raises:
        KernelDataError: A count is missing or has not four bytes.
    """
    rows = []
    for message in messages:
        found = nfnetlink.fields(message)
        values = [found.get(number, b"") for number in (INSERT_FAILED, DROP, EARLY_DROP)]
        if any(len(value) != 4 for value in values):
            raise KernelDataError(
                f"ctnetlink: expected counts of a processor, got {bytes(message[:200]).hex()}."
            )
        rows.append([int.from_bytes(value, "big") for value in values])
    return _summed(rows)


def _summed(rows: Iterable[Iterable[int]]) -> ConntrackStats:
    """Return the sum of what each processor counted."""
    failed, dropped, early = map(sum, zip(*rows, strict=True)) if rows else (0, 0, 0)
    return ConntrackStats(insert_failed=failed, dropped=dropped, early_dropped=early)


def read_translations(limit: int, proc: str = PROC) -> tuple[Translation, ...] | Gap:
    """
    Return the remote endpoints towards which most translated ports are in use.

    One is told per protocol, translated local address and remote endpoint, as the
    remote sees it: of connections whose destination is translated too, the real
    one. Connections of this host itself from that address are no translations,
    though they hold their ports as well.

    Args:
        limit: The most endpoints to return.
        proc: Where the proc file system is mounted.

    Returns:
        The fullest first, or a Gap that says why they are not known.
    """
    try:
        if not read_tracked(proc):
            return ()
        held = Held()
        with closing(nfnetlink.dump(nfnetlink.CONNTRACK, CT_GET, TRANSLATED)) as messages:
            if not held.count(messages):
                return Gap("translations", "there are too many to be counted", AFFECTS)
    except PermissionError:
        return Gap("translations", "connections may not be listed (needs CAP_NET_ADMIN)", AFFECTS)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        return Gap("translations", f"connections could not be listed ({name})", AFFECTS)
    except KernelDataError as error:
        return Gap("translations", error.message, AFFECTS)
    rules = _rules() if held.ports else ()
    return tuple(_translation(key, ports, rules) for key, ports in held.fullest(limit))


def _rules() -> tuple[NatRule, ...]:
    """Return the rules that translate sources; none on a kernel without nf_tables."""
    try:
        return read_nat_rules()
    except (OSError, KernelDataError):
        return ()  # no rule tells then, and the connections are still worth telling


class Held:
    """
    The translated ports in use, by remote endpoint.

    ``ports`` maps the keys of ``ctnetlink.parse_reply`` to the ports, two bytes each. A
    connection may be told twice while the table changes, so distinct ones are counted
    at the end.
    """

    def __init__(self) -> None:
        self.ports: dict[bytes, bytearray] = {}

    def count(self, messages: Iterable[memoryview]) -> bool:
        """
        Add each connection; stop and return False where there are too many.

        Raises:
            KernelDataError: A message is no connection.
        """
        ports = self.ports
        for number, message in enumerate(messages):
            if number == MOST_CONNECTIONS or len(ports) > MOST_REMOTES:
                return False
            reply = parse_reply(message)
            if reply is None:
                continue
            key, port = reply
            if key in ports:
                ports[key] += port
            else:
                ports[key] = bytearray(port)
        return True

    def fullest(self, limit: int) -> Iterator[tuple[bytes, set[int]]]:
        """Yield the keys with most distinct ports, and these, at most so many keys."""
        counted = ((-_distinct(ports), key) for key, ports in self.ports.items())
        for _, key in heapq.nsmallest(limit, counted):
            ports = self.ports[key]
            yield key, {high << 8 | low for high, low in zip(ports[::2], ports[1::2], strict=True)}


def _distinct(ports: bytearray) -> int:
    """Return how many different ports there are."""
    return 1 if len(ports) == 2 else len(set(memoryview(ports).cast("H")))


def _translation(key: bytes, ports: set[int], rules: Iterable[NatRule]) -> Translation:
    """Return one key, its ports, and the range that a rule chooses them from."""
    protocol, local, remote = parse_key(key)
    seen = PortRange(min(ports), max(ports))
    return Translation(
        protocol=protocol,
        local_address=local,
        remote_address=remote.address,
        remote_port=remote.port,
        held_ports=len(ports),
        ports=range_of(rules, protocol, local, seen),
    )
