"""When two local addresses get in each other's way on one port.

The rule is the same for TCP bind() and for every UDP port: equal addresses
conflict, a wildcard conflicts with all it covers, and a dual-stack ``::``
reaches IPv4 as well.

Source: Linux net/ipv4/inet_connection_sock.c, inet_rcv_saddr_equal;
net/ipv6/af_inet6.c, __inet6_bind (a specific IPv6 address is v6only);
kernel cases c36-c38, c51, u4, u11, u12.
"""

from __future__ import annotations

from portroom.model.facts.sockets import Family, is_wildcard

STAND_IN = bytes((127, 0, 0, 6)) + bytes(12)
"""
What a connected IPv6 socket carries as its IPv4 address on old kernels (5.10).

bind() to it is refused there and not on newer ones, which nothing cheap tells apart:
so it is in doubt on all. Source: Linux include/net/ipv6.h, LOOPBACK4_IPV6; case c51.
"""


def overlaps(
    family: Family, address: bytes, owner_family: Family, owner: bytes, v6only: bool | None
) -> bool | None:
    """
    Say whether a new socket on *address* conflicts with an owner's address.

    The new socket is dual-stack if it asks for ``::``. Addresses are 16 bytes
    as in sock_diag; v4-mapped ones are IPV4.

    Args:
        family: Family of the address asked for.
        address: The address asked for, zeros for the wildcard.
        owner_family: Family of the owner's local address.
        owner: The owner's local address.
        v6only: Whether the owner is IPv6 only, None where the kernel does
            not tell (connected sockets).

    Returns:
        True, False, or None where the kernel does not tell.
    """
    if family is owner_family:
        return address == owner or is_wildcard(address) or is_wildcard(owner)
    if family is Family.IPV6:
        return is_wildcard(address)
    if address == STAND_IN and v6only is None:
        return None
    if is_wildcard(owner) or is_wildcard(address):
        return None if v6only is None else not v6only
    return False
