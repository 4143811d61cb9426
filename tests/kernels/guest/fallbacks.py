"""Sockets of every kind, and predictions about them, for kernels that do not list them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from portroom.kernel import sock_diag
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from tests.kernel.harness import in_namespace, wait_for_age
from tests.kernel.predict import (
    Trial,
    try_bind0,
    try_connect,
    try_udp_bind0,
    try_udp_connect,
)
from tests.kernel.sockets import (
    accept_all,
    connected,
    listener,
    make_time_wait,
    reset,
    tcp,
    udp,
)

FOUR, SIX = ("127.0.0.1", 9000), ("::1", 9001)
RANGE = "40000 40019"
RANGE_ABOVE = "40010 40059"
"""Above all ports that are asked for by number, so that none of them is given away before."""

CONNECTIONS = 10


def request(protocol: int) -> tuple[int, bytes]:
    """Return message type and payload of a dump of one protocol."""
    return sock_diag.SOCK_DIAG_BY_FAMILY, sock_diag.request(2, protocol, sock_diag.ALL_STATES)


def legacy() -> tuple[int, bytes]:
    """Return message type and payload of a dump of TCP in both families."""
    return sock_diag.TCPDIAG_GETSOCK, sock_diag.legacy_request(sock_diag.ALL_STATES)


def refusal(message_type: int, payload: bytes) -> int | None:
    """Return the errno with which a dump ends, None if it does not fail."""
    try:
        with Netlink(NETLINK_SOCK_DIAG) as netlink:
            for _ in netlink.dump(message_type, payload):
                pass
    except OSError as error:
        return error.errno
    return None


def connections() -> None:
    """Make ten connections, each by connect() alone, and accept them."""
    for _ in range(CONNECTIONS):
        connected(FOUR)


def only_bound() -> None:
    """Bind sockets inside the range, and do nothing else with them."""
    tcp(("0.0.0.0", 40003))
    tcp(("127.0.0.1", 40004), reuse_address=True)
    tcp(("::", 40005), v6only=True)
    tcp(("127.0.0.1", 0))


def listeners() -> None:
    """Let some listen inside the range."""
    listener("127.0.0.1", 40006)
    listener("::", 40007)
    listener("0.0.0.0", 0)


def ipv6() -> None:
    """Make connections of IPv6, one of them with a v4-mapped address."""
    connected(SIX, bind=("::1", 40008))
    connected(("::ffff:127.0.0.1", 9000))
    for _ in range(3):
        connected(SIX)


def time_wait() -> None:
    """Leave connections in TIME_WAIT that may be reused by now."""
    server = listener("127.0.0.1", 9002)
    since = make_time_wait(server, ("127.0.0.1", 9002), 4)
    make_time_wait(server, ("127.0.0.1", 9002), 2, bind=("127.0.0.1", 0))
    wait_for_age(since, 1.5)


def datagrams() -> None:
    """Bind and connect UDP sockets of both families."""
    udp(("127.0.0.1", 40000))
    udp(("0.0.0.0", 40001))
    udp(("::", 40002))
    udp(("::", 40003), v6only=True)
    for _ in range(3):
        connected(("127.0.0.1", 5353), make=udp)
    connected(("::1", 5353), make=udp)


MADE: dict[str, Callable[[], None]] = {
    made.__name__: made for made in (connections, only_bound, listeners, ipv6, time_wait, datagrams)
}
"""Sockets by what they are; each begins beside listeners outside of the range."""

TRIED: dict[str, Callable[[], Trial]] = {
    "connect": lambda: try_connect(FOUR),
    "connect_six": lambda: try_connect(SIX),
    "bind0": lambda: try_bind0("127.0.0.1"),
    "bind0_six": lambda: try_bind0("::"),
    "udp_connect": lambda: try_udp_connect(("127.0.0.1", 5354)),
    "udp_bind0": lambda: try_udp_bind0("0.0.0.0"),
    "udp_bind0_six": lambda: try_udp_bind0("::1"),
}
"""What is predicted and then done until the kernel refuses."""


def serve() -> tuple[object, object]:
    """Listen outside of the range, on IPv4 and on IPv6."""
    return listener(*FOUR), listener("::", SIX[1], v6only=True)


def trials(made: str, tried: tuple[str, ...] = tuple(TRIED)) -> list[Trial]:
    """
    Make sockets in a namespace with a range of twenty ports, and try; return what became of it.

    Args:
        made: A name of MADE.
        tried: Names of TRIED, one after the other, each taken back.
    """

    def job() -> list[Trial]:
        """Make the sockets, then predict, do and take back each."""
        held = serve()
        MADE[made]()
        found = [one_trial(name) for name in tried]
        del held
        return found

    return list(in_namespace(job, ip_local_port_range=RANGE))


def one_trial(name: str) -> Trial:
    """Predict, do, take back, and return the trial."""
    trial = TRIED[name]()
    reset(trial.real.sockets)
    return trial


def gather() -> None:
    """Make everything at once in a RANGE_ABOVE, and accept what must be, so that it keeps still."""
    (four, _) = serve()
    connections()
    accept_all(four, CONNECTIONS)
    for name in ("only_bound", "listeners", "ipv6", "datagrams"):
        MADE[name]()
    make_time_wait(listener("127.0.0.1", 9002), ("127.0.0.1", 9002), 4)


def in_use() -> dict[str, int]:
    """Return what /proc/net/sockstat and sockstat6 count of this namespace, by name."""
    counted = {}
    for name in ("sockstat", "sockstat6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines():
            protocol, _, words = line.partition(":")
            pairs = words.split()
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                counted[f"{protocol} {key}"] = int(value)
    return counted
