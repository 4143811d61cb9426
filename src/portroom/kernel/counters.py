"""Socket counts that the kernel keeps: sockstat, sockstat6, and one of snmp.

Rules of this file:

- the files are those of the calling thread, so that a thread inside a
  namespace reads that namespace;
- a file that is missing is an error, but for sockstat6 of a kernel whose IPv6
  is off: there no IPv6 socket can exist, and none is the truth;
- the kernel tells sockets here, never bytes.

Source: Linux net/ipv4/proc.c, sockstat_seq_show; net/ipv6/proc.c.
"""

from __future__ import annotations

from portroom.errors import KernelDataError
from portroom.kernel.files import PROC, read_text
from portroom.kernel.netstat import parse_count
from portroom.model.facts.snapshot import Counters

NO_IPV6 = "TCP6: inuse 0\nUDP6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n"


def read_counters(proc: str = PROC) -> Counters:
    """
    Read the socket counts of the network namespace of the calling thread.

    Args:
        proc: Where the proc file system is mounted.

    Raises:
        OSError: A file is missing, or may not be read.
        KernelDataError: A file does not hold what it should, or sockstat6
            is missing although IPv6 is on.
    """
    folder = f"{proc}/thread-self/net"
    return parse_counters(
        read_text(f"{folder}/sockstat"),
        _read_sockstat6(folder),
        read_text(f"{folder}/snmp"),
    )


def _read_sockstat6(folder: str) -> str:
    """
    Read sockstat6, or return zeros where this kernel has no IPv6 at all.

    The kernel makes both files or neither; where only one is gone, somebody
    hides it, and zero would be a guess.

    Source: Linux net/ipv6/af_inet6.c, inet6_init (``ipv6.disable=1``).
    """
    path = f"{folder}/sockstat6"
    try:
        return read_text(path)
    except FileNotFoundError:
        if _has_ipv6(folder):
            raise KernelDataError(
                f"{path}: expected counts of IPv6 sockets, because IPv6 is on; the file is missing."
            ) from None
        return NO_IPV6


def _has_ipv6(folder: str) -> bool:
    """Say whether the kernel lists IPv6 addresses, were it none."""
    try:
        read_text(f"{folder}/if_inet6")
    except FileNotFoundError:
        return False
    return True


def parse_counters(sockstat: str, sockstat6: str, snmp: str) -> Counters:
    """
    Parse the three files to one value.

    A kernel without UDP-Lite has no line for it, and no such socket.

    Raises:
        KernelDataError: A count is missing or is no number; it is named.
    """
    four = _lines(sockstat, "sockstat")
    six = _lines(sockstat6, "sockstat6")
    return Counters(
        sockets_used=_count(four, "sockets", "used", "sockstat"),
        tcp_inuse=_count(four, "TCP", "inuse", "sockstat"),
        tcp_orphan=_count(four, "TCP", "orphan", "sockstat"),
        tcp_tw=_count(four, "TCP", "tw", "sockstat"),
        tcp_alloc=_count(four, "TCP", "alloc", "sockstat"),
        udp_inuse=_count(four, "UDP", "inuse", "sockstat"),
        udplite_inuse=four.get("UDPLITE", {}).get("inuse", 0),
        raw_inuse=_count(four, "RAW", "inuse", "sockstat"),
        frag_inuse=_count(four, "FRAG", "inuse", "sockstat"),
        tcp6_inuse=_count(six, "TCP6", "inuse", "sockstat6"),
        udp6_inuse=_count(six, "UDP6", "inuse", "sockstat6"),
        udplite6_inuse=six.get("UDPLITE6", {}).get("inuse", 0),
        raw6_inuse=_count(six, "RAW6", "inuse", "sockstat6"),
        frag6_inuse=_count(six, "FRAG6", "inuse", "sockstat6"),
        tcp_curr_estab=parse_established(snmp),
    )


def parse_established(snmp: str) -> int:
    """
    Parse ``Tcp: CurrEstab`` of ``/proc/net/snmp``: ESTABLISHED and CLOSE_WAIT.

    Raises:
        KernelDataError: There is no such count.
    """
    return parse_count(snmp, "Tcp", "CurrEstab", "snmp")


def _lines(text: str, where: str) -> dict[str, dict[str, int]]:
    """Return the numbers of ``NAME: word number word number`` by name and word."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        try:
            found[name] = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        except ValueError:
            raise KernelDataError(
                f"{where}: expected words and numbers by turns, got {line!r}."
            ) from None
    return found


def _count(lines: dict[str, dict[str, int]], name: str, word: str, where: str) -> int:
    """Return one number, or say that it is missing."""
    try:
        return lines[name][word]
    except KeyError:
        raise KernelDataError(
            f"{where}: expected a line {name}: with {word}, got lines {list(lines)!r}."
        ) from None
