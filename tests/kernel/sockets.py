"""Sockets of every make, and filling a range until the kernel refuses.

A socket made here stays open until it is closed or its namespace ends, so
that a test need not hold on to it.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.kernel.harness import wait_until

IP_BIND_ADDRESS_NO_PORT = 24
IP_LOCAL_PORT_RANGE = 51
SO_BINDTODEVICE = 25
RESET_ON_CLOSE = struct.pack("=ii", 1, 0)
"""SO_LINGER on with 0 seconds: close() sends RST and leaves nothing behind."""

Address = tuple[str, int]

_HELD: list[socket.socket] = []


class Filled:
    """
    What became of taking ports until the kernel refused.

    ``refusal`` is the name of the errno, None if the limit was reached first.
    ``sockets`` are the ones made; they do not travel out of the namespace.
    """

    def __init__(self, ports: list[int], refusal: str | None, sockets: list[socket.socket]) -> None:
        self.ports = ports
        self.refusal = refusal
        self.sockets = sockets

    @property
    def count(self) -> int:
        """Return how many sockets were made."""
        return len(self.ports)

    @property
    def outcome(self) -> tuple[int, str | None]:
        """Return the count and the refusal, to compare with what is expected."""
        return self.count, self.refusal

    def __reduce__(self) -> tuple[object, ...]:
        return Filled, (self.ports, self.refusal, [])

    def __repr__(self) -> str:
        return f"Filled({self.ports}, {self.refusal})"


def tcp(
    bind: Address | None = None,
    *,
    noport: bool = False,
    reuse_address: bool = False,
    reuse_port: bool = False,
    range_option: tuple[int, int] | None = None,
    device: str | None = None,
    v6only: bool | None = None,
    family: int | None = None,
    kind: int = socket.SOCK_STREAM,
) -> socket.socket:
    """
    Return a socket with options set and, if *bind* is given, bound.

    The family is that of *bind* unless given, IPv4 if neither tells.
    """
    made = socket.socket(family or family_of(bind), kind)
    try:
        if v6only is not None:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        if reuse_address:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if noport:
            made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if range_option:
            both = range_option[0] | range_option[1] << 16
            value = struct.pack("=I", both)
            made.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, value)
        if device:
            made.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
        if bind is not None:
            made.bind(bind)
    except OSError:
        made.close()
        raise
    _HELD.append(made)
    return made


def udp(bind: Address | None = None, **options: object) -> socket.socket:
    """Return a UDP socket; the options are those of ``tcp``."""
    return tcp(bind, kind=socket.SOCK_DGRAM, **options)


def listener(address: str, port: int, **options: object) -> socket.socket:
    """Return a listening socket; the options are those of ``tcp``."""
    made = tcp((address, port), **options)
    made.listen(4096)
    return made


def connected(
    remote: Address,
    make: Callable[..., socket.socket] = tcp,
    **options: object,
) -> socket.socket:
    """Return a socket connected to *remote*; the options are those of ``tcp``."""
    options.setdefault("family", family_of(remote))
    made = make(**options)
    try:
        made.connect(remote)
    except OSError:
        made.close()
        raise
    return made


def take(make: Callable[[], socket.socket], at_most: int = 100_000) -> Filled:
    """Call *make* until the kernel refuses, at most *at_most* times."""
    sockets: list[socket.socket] = []
    refusal = None
    for _ in range(at_most):
        try:
            sockets.append(make())
        except OSError as error:
            refusal = error_name(error)
            break
    return Filled([local_port(made) for made in sockets], refusal, sockets)


def fill(remote: Address, at_most: int = 100_000, **options: object) -> Filled:
    """Connect to *remote* until the kernel refuses; options as for ``tcp``."""
    return take(lambda: connected(remote, **options), at_most)


def fill_bind0(address: str, at_most: int = 100_000, **options: object) -> Filled:
    """Bind *address* to any port until the kernel refuses."""
    return take(lambda: tcp((address, 0), **options), at_most)


def attempt(action: Callable[[], object]) -> str:
    """Return "ok", or the name of the errno with which *action* failed."""
    try:
        action()
    except OSError as error:
        return error_name(error)
    return "ok"


def error_name(error: OSError) -> str:
    """Return ``EADDRNOTAVAIL`` and the like."""
    return errno.errorcode.get(error.errno or 0, str(error.errno))


def local_port(made: socket.socket) -> int:
    """Return the local port of a socket."""
    return int(made.getsockname()[1])


def family_of(address: Address | None) -> int:
    """Return the family of an address, IPv4 if there is none."""
    return socket.AF_INET6 if address and ":" in address[0] else socket.AF_INET


def accept_all(server: socket.socket, wanted: int) -> list[socket.socket]:
    """Accept exactly *wanted* connections."""
    server.settimeout(10)
    accepted = [server.accept()[0] for _ in range(wanted)]
    server.settimeout(None)
    _HELD.extend(accepted)
    return accepted


def close(sockets: Iterable[socket.socket]) -> None:
    """Close each socket in the usual way."""
    for made in sockets:
        made.close()


def reset(sockets: Iterable[socket.socket]) -> None:
    """Close each socket with RST, so that nothing of it stays."""
    for made in sockets:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        made.close()


def time_waits() -> int:
    """
    Return the TIME_WAIT entries of this namespace, orphaned FIN_WAIT2 included.
    """
    words = Path("/proc/net/sockstat").read_text().split()
    return int(words[words.index("tw") + 1])


def make_time_wait(
    server: socket.socket,
    remote: Address,
    sockets: int,
    **options: object,
) -> float:
    """
    Leave *sockets* connections to *remote* in TIME_WAIT on the client's side.

    Args:
        server: The listener behind *remote*.
        remote: Where to connect to.
        sockets: How many.
        options: For the client sockets, as for ``tcp``.

    Returns:
        The monotonic time at which the last one entered TIME_WAIT, in seconds.
    """
    before = time_waits()
    clients = fill(remote, at_most=sockets, **options).sockets
    served = accept_all(server, sockets)
    close(clients)
    # A side that has read the end of stream has it acknowledged: FIN_WAIT2.
    for child in served:
        child.recv(1)
    close(served)
    wait_until(
        lambda: time_waits() >= before + sockets and in_state(6) >= sockets,
        f"{sockets} more sockets are in TIME_WAIT",
    )
    return time.monotonic()


def in_state(state: int) -> int:
    """Return how many TCP sockets of this namespace are in a state."""
    count = 0
    for name in ("tcp", "tcp6"):
        rows = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        count += sum(int(row.split()[3], 16) == state for row in rows)
    return count
