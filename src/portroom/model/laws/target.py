"""What a written destination says: a host and perhaps a port, both still text.

Rules of this file: nothing is resolved; a name stays a name.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from portroom.errors import InvalidRequestError
from portroom.model.facts.ports import LAST_PORT
from portroom.model.facts.sockets import packed_address

FORMS = "Write ADDRESS, ADDRESS:PORT or [IPV6-ADDRESS]:PORT."


class Target(NamedTuple):
    """
    A destination as written.

    ``host`` is an address or a name; ``port`` is a number, a service name, or
    None where none was given.
    """

    host: str
    port: str | None


def parse_target(text: str) -> Target:
    """
    Split a written destination into host and port.

    Args:
        text: ``1.2.3.4``, ``1.2.3.4:443``, ``2001:db8::1``,
            ``[2001:db8::1]:443``, and the same with a host name or with a
            service name for the port.

    Raises:
        InvalidRequestError: It has none of these forms; it is quoted.

    >>> parse_target("[2001:db8::1]:https")
    Target(host='2001:db8::1', port='https')
    """
    if text.startswith("["):
        return _bracketed(text)
    if text.count(":") > 1:
        return Target(_ipv6(text, text), None)
    host, colon, port = text.partition(":")
    return Target(_host(host, text), _port(port, text) if colon else None)


def _bracketed(text: str) -> Target:
    """Return the target of ``[2001:db8::1]`` or ``[2001:db8::1]:443``."""
    host, bracket, rest = text[1:].partition("]")
    if not bracket or (rest and not rest.startswith(":")):
        _refuse(text)
    return Target(_ipv6(host, text), _port(rest[1:], text) if rest else None)


def _ipv6(host: str, text: str) -> str:
    """Return *host* if it is an IPv6 address, perhaps with a zone."""
    try:
        packed_address(host)
    except ValueError:
        _refuse(text)
    if ":" not in host or not host.isprintable():
        _refuse(text)
    return host


def _host(host: str, text: str) -> str:
    """Return *host* if it can be an address or a name."""
    if not host or not host.isprintable() or any(mark in host for mark in " /[]@"):
        _refuse(text)
    return host


def _port(port: str, text: str) -> str:
    """Return *port* if it can be a service name or a port number."""
    if not port or not port.isprintable() or " " in port or "/" in port:
        _refuse(text)
    if port.lstrip("+-").isdigit() and not (
        port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= LAST_PORT
    ):
        raise InvalidRequestError(
            f"{text!r} has no port that can be: {port!r} is not 1 to {LAST_PORT}."
        )
    return port


def _refuse(text: str) -> NoReturn:
    """Raise the error for a text that is no destination."""
    raise InvalidRequestError(f"{text!r} is not a destination.", hint=FORMS)
