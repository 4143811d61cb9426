"""The zero-packet probe: let the kernel's own port search settle doubt.

With TCP_FASTOPEN_CONNECT and TCP_FASTOPEN_NO_COOKIE connect() runs the whole
search for a port, returns 0 and sends nothing until data is written; close()
gives the port back. IP_LOCAL_PORT_RANGE of one port asks about that port; without
that option one question is left: is there any port?

Rules of this file:

- one port at a time, a non-blocking socket, closed before the next;
- only ports that the caller names, or one socket for any; never "open until it fails";
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
        ports: Local ports to ask about; never one in TIME_WAIT towards *remote*,
            whose entry the probe would take.
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
        given = _ask(remote, local_address, port)
        (held if given is None else free).add(port)
    return Probed(frozenset(free), frozenset(held))


def probe_any(remote: Endpoint, local_address: str) -> int | None:
    """
    Return the port that connect() to *remote* would get now, None if it would get none.

    It needs no IP_LOCAL_PORT_RANGE. The search takes over what it may reuse: never ask
    while a TIME_WAIT towards *remote* may be given out again.

    Raises:
        InvalidRequestError: *local_address* is none of this host.
        NotSupportedError: As of ``probe``, but for the option.
    """
    return _ask(remote, local_address, None)


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


def _ask(remote: Endpoint, local_address: str, port: int | None) -> int | None:
    """Return the port that a deferred connect gets, from one port or any; None for none."""
    family = socket.AF_INET6 if ":" in remote.address else socket.AF_INET
    try:
        handle = unsent(family) if port is None else deferred(family, port)
    except OSError as error:
        raise _refusal(error.errno or errno.EIO, remote, local_address) from None
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
        number = handle.connect_ex((remote.address, remote.port))
        if number == 0:
            return int(handle.getsockname()[1])
        if number in REFUSED_PORT:
            return None
        raise _refusal(number, remote, local_address)


def _refusal(number: int, remote: Endpoint, local_address: str) -> NotSupportedError:
    """Return why the kernel cannot be asked, from the errno that told it."""
    stay = "Ports in doubt stay in doubt."
    if number == errno.EINPROGRESS:
        return NotSupportedError(
            f"The probe of {remote} stopped: this kernel would send a real SYN.",
            "Fast open is held back here; see tcp_fastopen_blackhole_timeout_sec.",
        )
    if number == errno.EOPNOTSUPP:
        needs = "net.ipv4.tcp_fastopen with bit 0 set (EOPNOTSUPP)"
        return NotSupportedError(f"The probe needs {needs}.", stay)
    if number == errno.ENOPROTOOPT:
        lack = "The probe needs an option of sockets that this kernel lacks (ENOPROTOOPT)."
        return NotSupportedError(lack, stay)
    return NotSupportedError(
        f"The probe of {remote} from {local_address} was refused before the search "
        f"for a port: {errno.errorcode.get(number, number)}.",
        "connect() would be refused so too.",
    )
