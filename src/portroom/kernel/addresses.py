"""Whether an address is one of this host: the kernel's own judgement, by bind().

Rules of this file:

- the socket has IP_BIND_ADDRESS_NO_PORT and asks for port 0, so that bind() checks
  the address and takes no port: nobody loses one, not for a moment;
- nothing is decided here that the kernel decides: ``ip_nonlocal_bind``, addresses
  on trial (tentative), zones and security modules are all in its answer.

Source: Linux net/ipv4/af_inet.c, __inet_bind; net/ipv6/af_inet6.c, __inet6_bind.
"""

from __future__ import annotations

import errno
import socket

from portroom.errors import InvalidRequestError, NotSupportedError
from portroom.kernel.probe import IP_BIND_ADDRESS_NO_PORT
from portroom.kernel.route import zone_index
from portroom.model.facts.scene import Address
from portroom.model.facts.sockets import Family, address_text, packed_address


def read_address(text: str) -> Address:
    """
    Return whether the kernel lets a socket of the calling thread bind an address.

    Args:
        text: An IPv4 or IPv6 address, with a zone such as ``%eth0`` or without;
            a v4-mapped one is IPv4.

    Returns:
        The address as given, and the errno of bind(): EADDRNOTAVAIL for one that
        this namespace does not have or cannot use yet, EINVAL for a link-local
        one without its zone, EAFNOSUPPORT where IPv6 is not there at all.

    Raises:
        InvalidRequestError: *text* is no address, or there is no device of the
            zone's name.
        NotSupportedError: A port would have to be taken to ask.
    """
    try:
        family, packed = packed_address(text)
    except ValueError:
        raise InvalidRequestError(f"{text!r} is no IP address.") from None
    place: tuple[str | int, ...] = (address_text(family, packed), 0)
    if family is Family.IPV6:
        place += (0, zone_index(text))
    return Address(address=text, error=_bind_error(family, place))


def _bind_error(family: Family, place: tuple[str | int, ...]) -> str:
    """Return the name of the errno of bind(), "" where it is accepted."""
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        return error_name(error)
    with made:
        _take_no_port(made)
        try:
            made.bind(place)
        except OSError as error:
            return error_name(error)
    return ""


def _take_no_port(made: socket.socket) -> None:
    """Set the option without which bind() to port 0 takes a port."""
    try:
        made.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    except OSError as error:
        raise NotSupportedError(
            f"An address cannot be checked without taking a port: {error_name(error)}.",
            "The kernel needs IP_BIND_ADDRESS_NO_PORT (Linux 4.2).",
        ) from None


def error_name(error: OSError) -> str:
    """
    Return the name of an errno, or its number where it has none.

    >>> error_name(OSError(errno.EADDRNOTAVAIL, "text"))
    'EADDRNOTAVAIL'
    """
    return errno.errorcode.get(error.errno or 0, str(error.errno))
