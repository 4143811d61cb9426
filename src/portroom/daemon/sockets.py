"""Where the daemon listens: addresses in words, the sockets bound to them, and who may reach them."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import NamedTuple

from portroom.errors import (
    InvalidRequestError,
    NotPermittedError,
    PortroomError,
    UnavailableError,
)
from portroom.model.facts.config import Serve
from portroom.render.units import endpoint

BACKLOG = 128

NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""What the kernel answers for ``::1`` where IPv6 is not built in, or off."""


class Listen(NamedTuple):
    """An address and a port to listen on; port 0 leaves the choice to the kernel."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return both as they are written."""
        return endpoint(self.address, self.port)


def parse_listen(text: str) -> Listen:
    """
    Return what ``ADDRESS:PORT`` says; an address of IPv6 stands in brackets.

    Raises:
        InvalidRequestError: It says something else.

    >>> parse_listen("127.0.0.1:9765"), parse_listen("[::1]:9765")
    (Listen(address='127.0.0.1', port=9765), Listen(address='::1', port=9765))
    """
    host, _, port = text.rpartition(":")
    address = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        family = ipaddress.ip_address(address).version
        is_port = port.isascii() and port.isdecimal() and int(port) < 65536
        if is_port and (family == 6) == (address != host):
            return Listen(address, int(port))
    except ValueError:
        pass
    raise InvalidRequestError(
        f"Cannot listen on {text!r}: that is no ADDRESS:PORT.",
        "Write an address and a port, such as 127.0.0.1:9765 or [::1]:9765.",
    )


def bound(wanted: Sequence[str]) -> tuple[socket.socket, ...]:
    """
    Return a listening socket for each of the addresses.

    Of those that are the default, one that this host does not have is left out, as
    long as another is there: not every host has IPv6.

    Raises:
        InvalidRequestError: An address is none.
        UnavailableError: It is in use, or this host does not have it.
        NotPermittedError: It takes a right to listen there.
    """
    places = [parse_listen(text) for text in dict.fromkeys(wanted)]
    sockets: list[socket.socket] = []
    missing: list[OSError] = []
    with contextlib.ExitStack() as opened:
        for place in places:
            try:
                sockets.append(opened.enter_context(_listening(place)))
            except OSError as error:
                if error.errno not in NO_SUCH_FAMILY or tuple(wanted) != Serve().listen:
                    raise refusal(place, error) from None
                missing.append(error)
        if not sockets:
            raise refusal(places[0], missing[0]) if missing else _nothing()
        opened.pop_all()
    return tuple(sockets)


def _nothing() -> InvalidRequestError:
    """Return that there is nothing to listen on."""
    return InvalidRequestError(
        "There is no address to listen on: `listen` is empty.", "Name one, or leave it out."
    )


def _listening(place: Listen) -> socket.socket:
    """Return a socket that listens there."""
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        # So that a daemon that is started anew does not wait for old connections to end;
        # an address on which somebody listens is in use all the same.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)
        one.bind(place)
        one.listen(BACKLOG)
    except BaseException:
        one.close()
        raise
    return one


def refusal(place: Listen, error: OSError) -> PortroomError:
    """Return in one sentence why nobody can listen there, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return UnavailableError(
            f"Cannot listen on {place}: another program does.",
            f"`portroom sessions --state LISTEN --local :{place.port}` shows which; "
            f"or choose another with --listen.",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return NotPermittedError(
            f"Cannot listen on {place}: {error.strerror}.",
            "A port below net.ipv4.ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE; "
            "choose a higher one with --listen.",
        )
    if error.errno in NO_SUCH_FAMILY:
        return UnavailableError(
            f"Cannot listen on {place}: this host does not have the address.",
            "`ip address` shows those that it has.",
        )
    return UnavailableError(f"Cannot listen on {place}: {error.strerror}.")


def places(sockets: Sequence[socket.socket]) -> tuple[str, ...]:
    """Return where sockets really listen, as ``ADDRESS:PORT``, or ``unix:PATH``."""
    return tuple(_place(one) for one in sockets)


def _place(one: socket.socket) -> str:
    """Return where one socket listens."""
    name = one.getsockname()
    if one.family == socket.AF_UNIX:
        path = name.decode(errors="backslashreplace") if isinstance(name, bytes) else name
        return f"unix:{path}"
    return str(Listen(name[0], name[1]))


def is_loopback(place: str) -> bool:
    """
    Say whether only this host can reach a place, see ``places``.

    >>> [is_loopback(place) for place in ("127.9.0.1:1", "[::1]:1", "0.0.0.0:1", "unix:/a")]
    [True, True, False, True]
    """
    if place.startswith("unix:"):
        return True
    return ipaddress.ip_address(parse_listen(place).address).is_loopback
