"""Port numbers: a range with both ends included, and a set of ports.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

LAST_PORT = 65535


class PortRange(NamedTuple):
    """
    A run of ports, both ends included.

    >>> PortRange(32768, 60999).ports
    28232
    """

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> PortRange:
        r"""
        Parse the kernel's own form: two ports with blanks between.

        Raises:
            ValueError: These are not two ports, the lower one first; the text is quoted.

        >>> PortRange.parse("32768\t60999\n")
        PortRange(first=32768, last=60999)
        """
        try:
            first, last = map(int, text.split())
        except ValueError:
            raise ValueError(f"expected two ports, got {text!r}") from None
        if not 1 <= first <= last <= LAST_PORT:
            raise ValueError(f"expected two ports, got {text!r}")
        return cls(first, last)

    @property
    def ports(self) -> int:
        """Return how many ports there are (``28_232 = 60999 - 32768 + 1``)."""
        return self.last - self.first + 1

    @property
    def same_parity(self) -> bool:
        """
        Say whether both ends are even or both odd, so that their number is odd.

        The search then leaves out one end port, most often the first.

        Source: Linux net/ipv4/inet_hashtables.c, __inet_hash_connect
        (``remaining &= ~1U``).
        """
        return (self.first ^ self.last) & 1 == 0 and self.first != self.last

    def __contains__(self, port: object) -> bool:
        """
        Say whether *port* lies inside, ends included.

        >>> 60999 in PortRange(32768, 60999)
        True
        """
        return isinstance(port, int) and self.first <= port <= self.last

    def __str__(self) -> str:
        """Return ``first-last``."""
        return f"{self.first}-{self.last}"


class PortSet:
    """
    A set of ports, kept as runs that neither touch nor overlap.

    >>> str(PortSet.parse("8080,9000-9100,9101"))
    '8080,9000-9101'
    >>> len(PortSet.parse("1-3,2-4"))
    4
    """

    __slots__ = ("runs",)

    runs: tuple[PortRange, ...]

    def __init__(self, runs: Iterable[PortRange] = ()) -> None:
        merged: list[PortRange] = []
        for first, last in sorted(runs):
            if merged and first <= merged[-1].last + 1:
                merged[-1] = PortRange(merged[-1].first, max(merged[-1].last, last))
            else:
                merged.append(PortRange(first, last))
        self.runs = tuple(merged)

    @classmethod
    def parse(cls, text: str) -> PortSet:
        """
        Parse the kernel's own form: ``"8080,9000-9100"``, or blank for none.

        Args:
            text: Decimal ports and runs, comma between, as read from
                ``ip_local_reserved_ports``.

        Raises:
            ValueError: A part is no port or no run; it is quoted.
        """
        runs = []
        for part in filter(None, text.strip().split(",")):
            first, dash, last = part.partition("-")
            if not first.isdecimal() or not (last if dash else first).isdecimal():
                raise ValueError(f"no port and no run of ports: {part!r}")
            run = PortRange(int(first), int(last or first))
            if not 0 <= run.first <= run.last <= LAST_PORT:
                raise ValueError(f"no port and no run of ports: {part!r}")
            runs.append(run)
        return cls(runs)

    @classmethod
    def of(cls, ports: Iterable[int]) -> PortSet:
        """Return the set of single *ports*."""
        return cls(PortRange(port, port) for port in ports)

    def within(self, limits: PortRange) -> PortSet:
        """Return the part that lies inside *limits*, ends included."""
        return PortSet(
            PortRange(max(run.first, limits.first), min(run.last, limits.last))
            for run in self.runs
            if run.first <= limits.last and run.last >= limits.first
        )

    def __sub__(self, other: PortSet) -> PortSet:
        """
        Return the ports that are not in *other*.

        >>> str(PortSet.parse("10-20,30") - PortSet.parse("5-11,15,20-40"))
        '12-14,16-19'
        """
        left: list[PortRange] = []
        place = 0
        for run in self.runs:
            first = run.first
            while place < len(other.runs) and other.runs[place].first <= run.last:
                hole = other.runs[place]
                if hole.first > first:
                    left.append(PortRange(first, hole.first - 1))
                first = max(first, hole.last + 1)
                if hole.last > run.last:
                    break  # it may reach into the next run
                place += 1
            if first <= run.last:
                left.append(PortRange(first, run.last))
        return PortSet(left)

    def __len__(self) -> int:
        """Return how many ports are in the set."""
        return sum(run.ports for run in self.runs)

    def __iter__(self) -> Iterator[int]:
        """Yield each port, ascending."""
        for run in self.runs:
            yield from range(run.first, run.last + 1)

    def __contains__(self, port: object) -> bool:
        """Say whether *port* is in the set."""
        return any(port in run for run in self.runs)

    def __eq__(self, other: object) -> bool:
        """Say whether both hold the same ports."""
        return isinstance(other, PortSet) and self.runs == other.runs

    def __hash__(self) -> int:
        """Return a hash of the ports."""
        return hash(self.runs)

    def __str__(self) -> str:
        """Return the kernel's own canonical form."""
        return ",".join(str(run.first) if run.first == run.last else str(run) for run in self.runs)

    def __repr__(self) -> str:
        """Return the canonical form, marked as a PortSet."""
        return f"PortSet.parse({str(self)!r})"
