"""How a socket may narrow or name its local port, and whether it gets it.

What portroom answers is about a plain socket. A program may also set a window
of its own (IP_LOCAL_PORT_RANGE), or name its port with bind().

Source: Linux net/ipv4/inet_connection_sock.c, inet_sk_get_local_port_range,
inet_csk_bind_conflict; net/ipv4/udp.c, udp_lib_get_port; kernel cases c26-c28,
c36, c37, c50, c53, c54, u13, u15.
"""

from __future__ import annotations

from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Groups, Settings
from portroom.model.facts.sockets import Family, Protocol
from portroom.model.laws.occupancy import local_owners
from portroom.model.laws.overlap import overlaps


def window(ephemeral: PortRange, first: int, last: int) -> PortRange:
    """
    Return the ports that a socket with IP_LOCAL_PORT_RANGE chooses from.

    Each end counts only if it lies inside the ephemeral range; one that does
    not is ignored, not clamped, and the range's own end holds.

    Args:
        ephemeral: ``net.ipv4.ip_local_port_range``, both ends included.
        first: First port of the option, 0 for none.
        last: Last port of the option, included, 0 for none.

    >>> window(PortRange(40000, 40009), 39990, 40003)
    PortRange(first=40000, last=40003)
    >>> window(PortRange(40000, 40009), 50000, 50005)
    PortRange(first=40000, last=40009)
    """
    return PortRange(
        first if first in ephemeral else ephemeral.first,
        last if last in ephemeral else ephemeral.last,
    )


def may_choose(port: int, settings: Settings) -> bool:
    """Say whether the kernel may choose a port: inside the range, and not reserved."""
    return port in settings.ephemeral and port not in settings.reserved


def went_out(surely: bool | None, *, choosable: bool, listened: bool) -> bool:
    """
    Say whether a connected socket holds its port as an outgoing connection.

    Args:
        surely: What the kernel tells of it, None where it does not.
        choosable: Whether the kernel may choose that port, see ``may_choose``:
            what is connected on another one was bound, or accepted by a listener
            that is gone.
        listened: Whether somebody listens there, who accepted it.
    """
    return choosable and not listened if surely is None else surely


def explicit_bind(
    groups: Groups,
    protocol: Protocol,
    family: Family,
    address: bytes,
    port: int,
    *,
    reuses: bool = False,
) -> bool | None:
    """
    Say whether bind() to a named port succeeds.

    Reserved ports do not matter, nor does the range. An owner in the way
    yields only to a socket that sets SO_REUSEADDR or SO_REUSEPORT, and only
    if it set the same, which the kernel does not tell.

    Args:
        groups: The sockets of the namespace, at least those on *port*.
        protocol: TCP or UDP.
        family: Family of *address*; ``::`` is taken for dual-stack.
        address: 16 bytes as in sock_diag.
        port: The port asked for, 1 to 65535.
        reuses: Whether the new socket sets one of the two options.

    Returns:
        True, False, or None where the kernel does not tell.
    """
    in_doubt = False
    for owner in local_owners(protocol, groups, PortRange(port, port)):
        in_the_way = overlaps(family, address, owner.family, owner.address, owner.v6only)
        if in_the_way and protocol is Protocol.TCP and owner.place != 0:
            in_the_way = None  # in a VRF, which may have ports of its own
        if in_the_way and not reuses:
            return False
        in_doubt = in_doubt or in_the_way is not False
    return None if in_doubt else True
