"""The zero-packet probe: let the kernel's own port search settle doubt.

With TCP_FASTOPEN_CONNECT and TCP_FASTOPEN_NO_COOKIE connect() runs the whole
search for a port, returns 0 and sends nothing until data is written; close()
gives the port back. IP_LOCAL_PORT_RANGE of one port asks about that port.

Rules of this file:

- one port at a time, a non-blocking socket, closed before the next;
- only ports that the caller names; never "open until it fails";
- EINPROGRESS means that a real SYN would leave: stop, and say so.

Source: Linux net/ipv4/tcp_fastopen.c, tcp_fastopen_defer_connect;
kernel.md 6.5.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable

import msgspec

from portroom.errors import InvalidRequestError, NotSupportedError
from portroom.model.facts.sockets import Endpoint

IP_BIND_ADDRESS_NO_PORT = 24
IP_LOCAL_PORT_RANGE = 51
TCP_FASTOPEN_CONNECT = 30
TCP_FASTOPEN_NO_COOKIE = 34

REFUSED_PORT = (errno.EADDRNOTAVAIL, errno.EADDRINUSE)


class Probed(msgspec.Struct, frozen=True):
    """What the kernel answered: ports it would give, and ports it would not."""

    free: frozenset[int]
    held: frozenset[int]


def probe(remote: Endpoint, local_address: str, ports: Iterable[int], *, enough: int = 0) -> Probed:
    """
    Ask the kernel for each of *ports* whether connect() to *remote* gets it.

    Args:
        remote: Where a connection would go.
        local_address: Where it would come from.
        ports: Local ports to ask about; never one without an owner, nor one
            in TIME_WAIT towards *remote*, whose entry the probe would take.
        enough: Free ports after which nothing more is asked; 0 asks for all.

    Raises:
        InvalidRequestError: *local_address* is none of this host.
        NotSupportedError: This kernel cannot be asked without a packet, or the
            network refuses before the search for a port.
    """
    free: set[int] = set()
    held: set[int] = set()
    for port in ports:
        if enough and len(free) >= enough:
            break
        number = _ask(remote, local_address, port)
        if number == 0:
            free.add(port)
        elif number in REFUSED_PORT:
            held.add(port)
        elif number == errno.EINPROGRESS:
            raise NotSupportedError(
                f"The probe stopped at port {port}: this kernel would send a real SYN.",
                "Fast open is held back here; see tcp_fastopen_blackhole_timeout_sec.",
            )
        elif number in (errno.EOPNOTSUPP, errno.ENOPROTOOPT):
            raise NotSupportedError(_reason(number), "Ports in doubt stay in doubt.")
        else:
            raise NotSupportedError(
                f"The probe of {remote} from {local_address} was refused before the search "
                f"for a port: {errno.errorcode.get(number, number)}.",
                "connect() would be refused so too.",
            )
    return Probed(frozenset(free), frozenset(held))


def has_range_option() -> bool | None:
    """
    Say whether sockets have IP_LOCAL_PORT_RANGE; None where it cannot be asked.

    Its absence is told by ENOPROTOOPT, never by a version: 6.1.32 has it.
    """
    try:
        with socket.socket() as handle:
            handle.setsockopt(socket.SOL_IP, IP_LOCAL_PORT_RANGE, struct.pack("=I", 0))
    except OSError as error:
        return False if error.errno == errno.ENOPROTOOPT else None
    return True


def deferred(family: int, first: int, last: int | None = None) -> socket.socket:
    """
    Return a socket whose connect() takes a port of a window or fails, and sends nothing.

    Args:
        family: AF_INET or AF_INET6.
        first: The lowest port.
        last: The highest; None for the first one alone.

    Raises:
        OSError: ENOPROTOOPT where the kernel lacks one of the options.
    """
    handle = unsent(family)
    try:
        window = struct.pack("=I", first | (first if last is None else last) << 16)
        handle.setsockopt(socket.SOL_IP, IP_LOCAL_PORT_RANGE, window)
    except OSError:
        handle.close()
        raise
    return handle


def unsent(family: int) -> socket.socket:
    """
    Return a socket whose connect() takes any port or fails, and sends nothing.

    Raises:
        OSError: ENOPROTOOPT where the kernel lacks one of the options, EOPNOTSUPP where
            the namespace has fast open switched off.
    """
    handle = socket.socket(family, socket.SOCK_STREAM)
    try:
        handle.setblocking(False)
        handle.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        handle.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1)
    except OSError:
        handle.close()
        raise
    return handle


def _ask(remote: Endpoint, local_address: str, port: int) -> int:
    """Return the errno of a deferred connect from one port, 0 for success."""
    family = socket.AF_INET6 if ":" in remote.address else socket.AF_INET
    try:
        handle = deferred(family, port)
    except OSError as error:
        return error.errno or errno.EIO
    with handle:
        handle.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        try:
            handle.bind((local_address, 0))
        except OSError as error:
            # The same errno as of a held port, and another matter.
            name = errno.errorcode.get(error.errno or 0, "error")
            raise InvalidRequestError(
                f"Nothing can be connected from {local_address}: bind() says {name}.",
                "Give --from an address of this host.",
            ) from None
        return handle.connect_ex((remote.address, remote.port))


def _reason(number: int) -> str:
    """Return why the probe is not supported, from the errno that told it."""
    if number == errno.EOPNOTSUPP:
        return "The probe needs net.ipv4.tcp_fastopen with bit 0 set (EOPNOTSUPP)."
    return "The probe needs IP_LOCAL_PORT_RANGE, which this kernel lacks (ENOPROTOOPT)."
