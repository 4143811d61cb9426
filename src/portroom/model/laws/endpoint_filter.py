"""Filters of endpoints: an address or prefix, a port or range of ports, or both.

The forms, for a local and a remote endpoint alike:

    *   10.0.0.1   10.0.0.0/8   2001:db8::1   2001:db8::/32
    :443   :1000-2000   *:443   10.0.0.1:443   10.0.0.0/8:1000-2000   [::1]:443
"""

from __future__ import annotations

import ipaddress

import msgspec

from portroom.errors import InvalidRequestError
from portroom.model.facts.ports import LAST_PORT, PortRange
from portroom.model.facts.sockets import Family

HINT = (
    "Write an address (10.0.0.1), a prefix (10.0.0.0/8), a port (:443), a range of"
    " ports (:1000-2000), or both (10.0.0.1:443, [2001:db8::1]:443)."
)

MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""v4-mapped IPv6 addresses, which are IPv4 everywhere in portroom."""

ALL_PORTS = PortRange(0, LAST_PORT)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class EndpointFilter(msgspec.Struct, frozen=True):
    """
    What an endpoint must be: in a network, and on a port.

    ``family`` is None for any address; else the first ``prefix_bits`` bits of
    ``address`` (16 bytes as in sock_diag) count. ``ports`` has both ends
    included.
    """

    family: Family | None = None
    address: bytes = bytes(16)
    prefix_bits: int = 0
    ports: PortRange = ALL_PORTS

    @property
    def passes_all(self) -> bool:
        """Say whether every endpoint passes."""
        return self.family is None and self.ports == ALL_PORTS

    def matches_address(self, family: Family, packed: bytes) -> bool:
        """
        Say whether an address passes, whatever the port.

        Args:
            family: Family of the address, v4-mapped being IPv4.
            packed: 16 bytes as in sock_diag.
        """
        if self.family is None:
            return True
        bits = 128 - self.prefix_bits
        wanted = int.from_bytes(self.address, "big") >> bits
        return self.family is family and int.from_bytes(packed, "big") >> bits == wanted


EVERY_ENDPOINT = EndpointFilter()


def parse_endpoint_filter(text: str) -> EndpointFilter:
    """
    Parse one of the forms at the top of this file.

    Raises:
        InvalidRequestError: *text* has another form; quotes the part that has.

    >>> parse_endpoint_filter(":1000-2000").ports
    PortRange(first=1000, last=2000)
    >>> parse_endpoint_filter("10.0.0.0/8").prefix_bits
    8
    """
    host, ports = _split(text.strip(), text)
    network = None if host in {"", "*"} else _parse_network(host, text)
    parsed = ALL_PORTS if ports is None else _parse_ports(ports, text)
    if network is None:
        return EndpointFilter(ports=parsed)
    family = Family.IPV4 if network.version == 4 else Family.IPV6
    packed = network.network_address.packed.ljust(16, b"\0")
    return EndpointFilter(family, packed, network.prefixlen, parsed)


def _split(text: str, whole: str) -> tuple[str, str | None]:
    """Return the host part and the port part; None if there is no port part."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and rest[0] not in ":/"):
            raise _refusal(whole, f"{text!r} has no ] or something after it.")
        prefix, colon, ports = rest.partition(":")
        return host + prefix, ports if colon else None
    if text.count(":") > 1:
        return text, None
    host, colon, ports = text.partition(":")
    if not text:
        raise _refusal(whole, "It is empty.")
    return host, ports if colon else None


def _parse_network(host: str, whole: str) -> Network:
    """Return the network that *host* is or stands in, v4-mapped as IPv4."""
    if host.isdecimal():
        raise _refusal(whole, f"{host!r} is no address; a port begins with a colon.")
    if "%" in host:
        raise _refusal(whole, f"{host!r} names a device; leave it away.")
    try:
        network = ipaddress.ip_network(host, strict=False)
    except ValueError:
        raise _refusal(whole, f"{host!r} is no address and no prefix.") from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(MAPPED):
        packed = network.network_address.packed[12:]
        return ipaddress.IPv4Network((packed, network.prefixlen - MAPPED.prefixlen))
    return network


def _parse_ports(ports: str, whole: str) -> PortRange:
    """Return the ports of ``443``, ``1000-2000`` or ``*``."""
    if ports == "*":
        return ALL_PORTS
    first, dash, last = ports.partition("-")
    ends = (first, last if dash else first)
    if not all(end.isascii() and end.isdecimal() and len(end) <= 5 for end in ends):
        raise _refusal(whole, f"{ports!r} is no port and no range of ports.")
    found = PortRange(int(ends[0]), int(ends[1]))
    if found.last > LAST_PORT or found.first > LAST_PORT:
        raise _refusal(whole, f"{ports!r} is over the last port, {LAST_PORT}.")
    if found.first > found.last:
        raise _refusal(whole, f"In {ports!r} the first port is above the last.")
    return found


def _refusal(whole: str, why: str) -> InvalidRequestError:
    """Return the error for a filter that cannot be read, and why."""
    return InvalidRequestError(f"Cannot read the endpoint {whole!r}: {why}", HINT)
