"""The questions: what a user wants to know, as values that no door can misread."""

from __future__ import annotations

import msgspec

from portroom.model.facts.sockets import Operation, Protocol

DEFAULT_LIMIT = 100
"""Keys shown unless asked otherwise; making more costs time and tells little."""


class HeadroomQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """
    How many more connections fit, and to what.

    Args:
        address: ``ADDRESS``, ``ADDRESS:PORT`` or a host name as the user wrote
            it, see ``model.laws.target``; None asks for every key.
        from_address: The local address, or None for the one of the route.
        protocol: TCP or UDP; None is both, and TCP for one address.
        operation: How the port would be got: CONNECT or BIND0.
        limit: Keys to answer with, the tightest first; 0 is all of them.
        probe: Let the kernel itself settle the ports in doubt.
        probe_last: Probe although less than two ports are surely free.
        owners: Look for the processes behind the keys that are shown; None
            does so where they are few, because it takes a walk of /proc.
        threads: Threads that read the kernel's tables; 0 leaves the choice to
            portroom.
    """

    address: str | None = None
    from_address: str | None = None
    protocol: Protocol | None = None
    operation: Operation = Operation.CONNECT
    limit: int = DEFAULT_LIMIT
    probe: bool = False
    probe_last: bool = False
    owners: bool | None = None
    threads: int = 0


class BootQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """
    What decides at the next boot.

    Args:
        program: ``systemd``, ``procps`` or ``tuned``; None for what boots the
            system.
        root: The folder that stands for ``/``; None for this system itself.
        keys: Names of settings, or any sysctl keys; none for all settings.
    """

    program: str | None = None
    root: str | None = None
    keys: tuple[str, ...] = ()


class WatchQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which failures to watch; all of the system where nothing is named.

    Args:
        netns: NAME, PID or PATH of the network namespace of the processes.
        pid: The process, all its threads included.
        process: A process id, or the name of processes, ``*`` and ``?`` being
            anything.
        socket: Path of the unix socket that gives the counts away.
    """

    netns: str | None = None
    pid: int | None = None
    process: str | None = None
    socket: str | None = None


class HistoryQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was seen.

    Args:
        since_s: How far back, in seconds.
        until_s: Seconds before now at which to end; 0 is now.
        key: ``ADDRESS[:PORT]`` of the remote, or None for the tightest key at
            each moment and the keys that were tightest.
        protocol: TCP or UDP; None is both.
        netns: Name of the namespace; None is all of them.
        limit: Keys to answer with, those that were tightest first; 0 is all.
        points: Moments to answer with at most; spans are as long as that needs.
    """

    since_s: float = 3600.0
    until_s: float = 0.0
    key: str | None = None
    protocol: Protocol | None = None
    netns: str | None = None
    limit: int = 10
    points: int = 1000
