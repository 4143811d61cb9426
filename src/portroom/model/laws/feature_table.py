"""Every feature of a kernel that decides what portroom can say.

Rules of this file:

- one row a feature: a statement, by what it is found out, and what follows if it is
  true, if it is not, and if nobody knows;
- a text is read at night: it says what holds for the answers, and what to do;
- the first of each topic matter most.
"""

from __future__ import annotations

from typing import NamedTuple

FREE, HELD, PAST, WHERE = (
    "Which ports are free",
    "Which sockets hold them",
    "What happened",
    "Who and where",
)
TOPICS = (FREE, HELD, PAST, WHERE)
"""In the order in which they are told."""


class FeatureRow(NamedTuple):
    """
    One feature.

    Args:
        name: What JSON and the command line call it.
        topic: One of TOPICS.
        title: A statement, true where the answer is yes.
        how: By what it is found out; follows "found out".
        yes: What follows for the answers if it is true.
        no: What follows if it is not.
        unknown: What follows where the kernel could not be asked.
    """

    name: str
    topic: str
    title: str
    how: str
    yes: str
    no: str
    unknown: str


TRIED = "in a network namespace that ends with the trial"

FEATURES = (
    FeatureRow(
        "bucket_forgets",
        FREE,
        "a port is free again for connects once the bound socket on it is gone",
        f"by letting a bound socket come and go beside a connection, {TRIED}",
        "A port counts as held only by what is there now.",
        "A port that a bound socket once shared stays refused as long as any connection holds "
        "it, and nothing shows that: ports with an owner are in doubt, so that an answer is a span. "
        "`portroom headroom --probe` settles them where sockets can have a window (range_option); "
        "elsewhere it settles whether any port is left.",
        "Ports with an owner are in doubt, as on a kernel that does not forget; `portroom headroom "
        "--probe` settles them where sockets can have a window (range_option).",
    ),
    FeatureRow(
        "zero_packet_probe",
        FREE,
        "the kernel says which port a connect would get, and sends nothing",
        f"by preparing a socket here, and connecting one like it {TRIED}",
        "Where sockets can have a window too (range_option), ports in doubt can be settled: "
        "`portroom headroom --probe`, `doctor --probe`; `portroom explain` does so by itself. "
        "Elsewhere headroom and explain can tell for sure whether any port is left.",
        "Ports in doubt stay in doubt: `--probe` is refused.",
        "Whether ports in doubt can be settled shows only when `--probe` is tried.",
    ),
    FeatureRow(
        "range_option",
        FREE,
        "a socket can have a window of its own (IP_LOCAL_PORT_RANGE)",
        "by setting the option on a socket",
        "The probe can ask about single ports, and a program may keep to a part of the range.",
        "The probe cannot ask about single ports: those in doubt stay so. It can ask whether any "
        "port is left for a destination: `portroom headroom --probe --probe-last`, one sure yes "
        "or no. Every program chooses from the whole range.",
        "Whether the probe can ask about single ports shows only when `--probe` is tried.",
    ),
    FeatureRow(
        "range_option_step",
        FREE,
        "a socket with a window of its own gets every port of it",
        f"by connecting three times from a window of three ports, {TRIED}",
        "A program with a window of its own has all ports of it.",
        "A window with an odd number of ports, as three, gives one less; a window of one port "
        "gives it.",
        "A window with an odd number of ports may give one less.",
    ),
    FeatureRow(
        "tw_reuse_by_age",
        FREE,
        "a TIME_WAIT is reused by its age",
        "by looking for the setting tcp_tw_reuse_delay",
        "Which TIME_WAITs a connect may take over is exact to the millisecond.",
        "It is reused with the next second of the clock, so after 0 to 1 s: younger than 1 s it is "
        "in doubt.",
        "A TIME_WAIT younger than 1 s is in doubt.",
    ),
    FeatureRow(
        "vrf",
        FREE,
        "a VRF can have a space of ports for itself",
        "by looking for the setting tcp_l3mdev_accept",
        "Where VRFs are used and it is 0, the TCP ports of each VRF are counted apart.",
        "There is one space of ports; nothing is to be kept in mind.",
        "If this host uses VRFs, what portroom counts as held may be free.",
    ),
    FeatureRow(
        "step_width",
        FREE,
        "the order in which ports are tried can be spread",
        "by looking for the setting ip_local_port_step_width",
        "It changes the order of ports, not which are free: nothing follows for the answers.",
        "Ports are tried one after the other: nothing follows for the answers.",
        "It changes the order of ports alone: nothing follows for the answers.",
    ),
    FeatureRow(
        "tcp_rows",
        HELD,
        "the kernel lists its TCP sockets (tcp_diag)",
        "by asking sock_diag for TCP sockets in no state at all",
        "Counts are fast and exact.",
        "Sockets are read from /proc/net: slower, and what is only bound does not show. "
        "`modprobe tcp_diag` brings it where there is such a module.",
        "Sockets are read from /proc/net if sock_diag refuses: slower, and what is only bound "
        "does not show.",
    ),
    FeatureRow(
        "udp_rows",
        HELD,
        "the kernel lists its UDP sockets (udp_diag)",
        "by asking sock_diag for UDP sockets in no state at all",
        "UDP is counted as TCP is.",
        "UDP sockets are read from /proc/net: slower, and which of them take IPv4, too, does not "
        "show. `modprobe udp_diag` brings it where there is such a module.",
        "UDP sockets are read from /proc/net if sock_diag refuses.",
    ),
    FeatureRow(
        "bound_inactive_rows",
        HELD,
        "sockets that are only bound are listed",
        f"by binding one and looking for it, {TRIED}",
        "A socket that is bound and does nothing else is counted.",
        "Such sockets hold ports and show nowhere. As many free ports are in doubt as there may "
        "be of them by the counters (alloc less inuse of sockstat, which counts other namespaces "
        "in), and a gap says so.",
        "Such sockets may hold ports unseen: as many free ports are in doubt as there may be of "
        "them by the counters.",
    ),
    FeatureRow(
        "no_port_rows",
        HELD,
        "a socket's row tells whether it left its port to connect (IP_BIND_ADDRESS_NO_PORT)",
        f"by looking for the row of such a socket, {TRIED}",
        "Programs that bind an address and let connect choose the port are told apart from those "
        "that bind a port first.",
        "Those programs look like others that bind first: more ports are in doubt.",
        "More ports may be in doubt.",
    ),
    FeatureRow(
        "conntrack_rows",
        HELD,
        "translated connections can be listed",
        "by asking connection tracking for its counts, where it is in use",
        "`portroom doctor` and `explain` see which ports SNAT holds.",
        "Nothing is tracked in this namespace, so nothing is translated in it.",
        "Whether SNAT runs out of ports cannot be seen.",
    ),
    FeatureRow(
        "counters",
        PAST,
        "the kernel counts connects, TIME_WAITs and full accept queues",
        "by reading /proc/net/snmp and netstat",
        "`doctor` and `explain` see what happens now. No counter moves when ports run out: that "
        "only `portroom trace` sees.",
        "Findings that need a rate are not checked.",
        "Findings that need a rate are not checked.",
    ),
    FeatureRow(
        "trace_events",
        PAST,
        "failed connects and binds can be watched (tracefs)",
        "by looking for the events in tracefs, mounted for this process alone where it is not "
        "there",
        "`portroom trace` tells each failure as it happens, with process and destination.",
        "`portroom trace` cannot watch: a failure is known from logs alone.",
        "Whether `portroom trace` can watch shows only when it is tried.",
    ),
    FeatureRow(
        "trace_stacks",
        PAST,
        "the kernel copies the stack of a call that fails (perf)",
        "by opening an event that never happens with such a copy",
        "`portroom trace` tells the address of a failed call also of a process that has ended.",
        "`portroom trace` reads addresses from the memory of the process just after the call: of "
        "one that has ended they are missing.",
        "`portroom trace` may miss addresses of processes that have ended.",
    ),
    FeatureRow(
        "private_netns",
        WHERE,
        "a network namespace can be made to try things in",
        "by trying to make one, which ends with the trial",
        "What only a trial tells is known.",
        "What only a trial tells is unknown, and portroom takes the careful side. As root, or with "
        "user namespaces allowed, it can be made.",
        "What only a trial tells is unknown, and portroom takes the careful side.",
    ),
    FeatureRow(
        "netns_cookie",
        WHERE,
        "a network namespace has a number for ever (SO_NETNS_COOKIE)",
        "by asking a socket for it",
        "A change in a container is taken back in that one alone, however many come and go.",
        "A namespace is known by an inode that a later one may get: undo a change in a container "
        "before it ends.",
        "Undo a change in a container before it ends.",
    ),
    FeatureRow(
        "descriptor_copies",
        WHERE,
        "sockets of other processes can be asked (pidfd_getfd)",
        "by copying a descriptor of portroom itself, and asking for one that process 1 does not have",
        "`portroom explain --pid` tells the windows that sockets of a process have.",
        "`portroom explain --pid` does not know whether sockets of a process have a window.",
        "`portroom explain --pid` does not know whether sockets of a process have a window.",
    ),
    FeatureRow(
        "unix_rows",
        WHERE,
        "the kernel lists its unix sockets (unix_diag)",
        "by asking sock_diag for unix sockets in no state at all",
        "`portroom explain EAGAIN` tells a full queue of a unix socket from a lack of ports.",
        "Whether EAGAIN comes from the full queue of a unix socket is not known.",
        "Whether EAGAIN comes from the full queue of a unix socket is not known.",
    ),
)
"""In the order in which they are told."""
