"""Events that the kernel counts for a namespace: connects, TIME_WAITs, full accept queues.

Rules of this file:

- the files are those of the calling thread, so that a thread inside a
  namespace reads that namespace;
- a count that is missing is an error, never zero;
- no counter moves when ports run out: nothing here can tell that.

Source: Linux net/ipv4/proc.c, snmp_seq_show_tcp_udp and netstat_seq_show.
"""

from __future__ import annotations

from portroom.errors import KernelDataError
from portroom.kernel.files import PROC, read_text
from portroom.model.facts.scene import NetCounts


def read_net_counts(proc: str = PROC) -> NetCounts:
    """
    Read the event counts of the network namespace of the calling thread.

    Args:
        proc: Where the proc file system is mounted.

    Raises:
        OSError: A file is missing, or may not be read.
        KernelDataError: A count is missing or is no number; it is named.
    """
    folder = f"{proc}/thread-self/net"
    return parse_net_counts(read_text(f"{folder}/snmp"), read_text(f"{folder}/netstat"))


def parse_net_counts(snmp: str, netstat: str) -> NetCounts:
    """
    Parse the two files to one value.

    Raises:
        KernelDataError: A count is missing or is no number; it is named.
    """
    return NetCounts(
        active_opens=parse_count(snmp, "Tcp", "ActiveOpens", "snmp"),
        time_wait_overflow=parse_count(netstat, "TcpExt", "TCPTimeWaitOverflow", "netstat"),
        time_wait_reused=parse_count(netstat, "TcpExt", "TWRecycled", "netstat"),
        listen_overflows=parse_count(netstat, "TcpExt", "ListenOverflows", "netstat"),
        listen_drops=parse_count(netstat, "TcpExt", "ListenDrops", "netstat"),
    )


def parse_count(text: str, line: str, name: str, where: str) -> int:
    r"""
    Return one number of a file that has two lines a group: the names, then the numbers.

    Args:
        text: The whole file.
        line: What both lines begin with, without the colon.
        name: Which of the names.
        where: The file, to be named in an error.

    Raises:
        KernelDataError: There is no such number.

    >>> parse_count("Tcp: ActiveOpens MaxConn\nTcp: 7 -1\n", "Tcp", "ActiveOpens", "snmp")
    7
    """
    pair = [one.split() for one in text.splitlines() if one.startswith(f"{line}:")]
    try:
        names, numbers = pair
        return int(numbers[names.index(name)])
    except (ValueError, IndexError):
        raise KernelDataError(
            f"{where}: expected two lines {line}: with {name}, got {text[:80]!r}."
        ) from None
