"""ctnetlink: the wire format of tracked connections, as far as translated ports need it.

Rules of this file:

- pure bytes in and out, no socket;
- a connection is known by the tuple of its answers: that is unique, and so what
  runs out. The answer's source is the remote, its target the translated address
  and port;
- the usual layout is read at once, any other attribute by attribute; what does
  not end where it says is an error, what is neither TCP nor UDP is passed over.

Source: Linux net/netfilter/nf_conntrack_netlink.c, ctnetlink_fill_info;
include/uapi/linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_common.h.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from portroom.kernel.nfnetlink import ATTRIBUTES, fields, nested
from portroom.kernel.sock_diag import attribute
from portroom.model.facts.sockets import Endpoint, Family, address_text

TUPLE_REPLY, STATUS, ZONE, STATUS_MASK = 2, 3, 18, 26
"""Attributes of a connection: CTA_TUPLE_REPLY and so on."""

TUPLE_IP, TUPLE_PROTO, TUPLE_ZONE = 1, 2, 3
NUMBER, SOURCE_PORT, TARGET_PORT = 1, 2, 3
"""Inside of a tuple, and of its TUPLE_PROTO."""

SRC_NAT = 1 << 4
"""IPS_SRC_NAT: the source of the first packet was translated."""

# Kernels that do not know the mask send all connections, so the status is looked at again.
TRANSLATED = b"".join(attribute(one, struct.pack(">I", SRC_NAT)) for one in (STATUS, STATUS_MASK))
"""What a dump is asked for: connections with a translated source."""

PROTOCOLS = {6: b"t", 17: b"u"}
PROTOCOL_NAMES = {b"t": "tcp", b"u": "udp"}

NESTED = 0x8000


class Layout(NamedTuple):
    """
    How the tuple of answers of a TCP or UDP connection stands, its status behind it.

    ``headers`` is what stands before each value: length and number.
    """

    address_bytes: int
    fields: struct.Struct
    headers: tuple[int, ...]


def _layout(address_bytes: int, source: int, target: int) -> Layout:
    """Return the layout for addresses of so many bytes with these attributes."""
    both = 2 * (4 + address_bytes)
    headers = (
        (4 + 4 + both + 28, TUPLE_REPLY | NESTED),
        (4 + both, TUPLE_IP | NESTED),
        (4 + address_bytes, source),
        (4 + address_bytes, target),
        (4 + 24, TUPLE_PROTO | NESTED),
        (5, NUMBER),
        (6, SOURCE_PORT),
        (6, TARGET_PORT),
        (8, STATUS),
    )
    form = f"=II I{address_bytes}s I{address_bytes}s I IB3x I2s2x I2s2x I3xB"
    numbers = b"".join(struct.pack("=HH", *header) for header in headers)
    return Layout(address_bytes, struct.Struct(form), struct.unpack("=9I", numbers))


LAYOUTS: dict[int, Layout] = {Family.IPV4: _layout(4, 1, 2), Family.IPV6: _layout(16, 3, 4)}
"""With the numbers of CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC and CTA_IP_V6_DST."""


def parse_reply(message: memoryview) -> tuple[bytes, bytes] | None:
    """
    Return which remote endpoint a translated connection goes to, and its translated port.

    Args:
        message: One whole message of a dump.

    Returns:
        A key for ``parse_key`` and two bytes, or None where nothing is translated
        or the protocol has no ports that count here.

    Raises:
        KernelDataError: An attribute does not end where it says.
    """
    start = ATTRIBUTES + (message[20] | message[21] << 8) + 3 & ~3 if len(message) > 21 else 0
    layout = LAYOUTS.get(message[16]) if start else None
    if layout is None or start + layout.fields.size > len(message):
        return _careful(message)
    (one, two, three, source, four, target, five, six, number, seven, source_port,
     eight, port, nine, status) = layout.fields.unpack_from(message, start)  # fmt: skip
    protocol = PROTOCOLS.get(number)
    headers = (one, two, three, four, five, six, seven, eight, nine)
    if headers != layout.headers or protocol is None:
        return _careful(message)
    return (protocol + source + target + source_port, port) if status & SRC_NAT else None


def _careful(message: memoryview) -> tuple[bytes, bytes] | None:
    """Return what ``parse_reply`` does, whatever the order of attributes is."""
    found = fields(message)
    reply = nested(found.get(TUPLE_REPLY, b""))
    proto = nested(reply.get(TUPLE_PROTO, b""))
    protocol = PROTOCOLS.get(int.from_bytes(proto.get(NUMBER, b""), "big"))
    ports = proto.get(SOURCE_PORT, b""), proto.get(TARGET_PORT, b"")
    addresses = tuple(nested(reply.get(TUPLE_IP, b"")).values())
    sizes = {len(value) for value in addresses}
    if (
        protocol is None
        or not int.from_bytes(found.get(STATUS, b""), "big") & SRC_NAT
        or [len(port) for port in ports] != [2, 2]
        or len(addresses) != 2
        or sizes not in ({4}, {16})
    ):
        return None
    zone = found.get(ZONE, b"") + reply.get(TUPLE_ZONE, b"")
    return protocol + addresses[0] + addresses[1] + ports[0] + zone, ports[1]


def parse_key(key: bytes) -> tuple[str, str, Endpoint]:
    """
    Return protocol, translated local address and remote endpoint of a key.

    >>> parse_key(b"t" + bytes([10, 8, 0, 2]) + bytes([10, 8, 0, 1]) + bytes([1, 187]))
    ('tcp', '10.8.0.1', Endpoint(address='10.8.0.2', port=443))
    """
    family = Family.IPV4 if len(key) < 1 + 2 * 16 else Family.IPV6
    size = LAYOUTS[family].address_bytes
    remote, local = key[1 : 1 + size], key[1 + size : 1 + 2 * size]
    port = int.from_bytes(key[1 + 2 * size : 3 + 2 * size], "big")
    remote_text = address_text(family, remote)
    return PROTOCOL_NAMES[key[:1]], address_text(family, local), Endpoint(remote_text, port)
