"""The known sockets as tables: one of each kind that a table of the kernel may hold.

Rules of this file:

- addresses are loopback ones and those kept for documentation (RFC 5737, RFC 3849);
- ``port_from`` says in the same words where a port comes from, for every test to read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.kernel.sockets import Address

SETTINGS: dict[str, Any] = {
    "ip_local_port_range": "40000 40099",
    "ip_local_reserved_ports": "40050-40059",
}
CHOSEN = range(40000, 40100)
"""The ports that the kernel may choose, the reserved ones included."""

SILENT, ABSENT = "198.51.100.2", "198.51.100.77"
"""Neighbours that never answer: one is connected to, the other seems to send a SYN."""

NETWORK = (
    "address add 192.0.2.1/32 dev lo",
    "address add 192.0.2.2/32 dev lo",
    "address add 2001:db8::1/128 dev lo nodad",
    "address add 2001:db8::2/128 dev lo nodad",
    "link add near type veth peer name far",
    "link set near up",
    "link set far up",
    "address add 198.51.100.1/24 dev near",
    f"neighbour add {SILENT} lladdr 02:00:00:00:00:02 dev near",
    f"neighbour add {ABSENT} lladdr 02:00:00:00:00:02 dev near",
)
"""What iproute2 is told to do in the new namespace."""

BY_CONNECT = "connect() (automatic"
"""What all say where connect() chose the port: others may share it."""

AUTOMATIC = "connect() (automatic)"
WINDOW = "connect() (automatic, IP_LOCAL_PORT_RANGE 40090-40093)"
NO_PORT = "IP_BIND_ADDRESS_NO_PORT bind(address,0) + connect() (automatic)"
NOT_YET = "none (IP_BIND_ADDRESS_NO_PORT, not connected)"
AUTOBIND = "listen() without bind (automatic)"
BIND0 = "bind(address,0)"
BIND0_CONNECT = "bind(address,0) + connect()"
EXPLICIT = "explicit bind"
EXPLICIT_CONNECT = "explicit bind + connect()"
EXPLICIT_LISTEN = "explicit bind, listen"
REUSE_ADDRESS = "explicit bind, SO_REUSEADDR"
REUSE_PORT = "explicit bind, SO_REUSEPORT"
ACCEPTED = "accepted (listener port)"
LISTENERS_PORT = "listener port"

SO_MARK = 36
ANOTHER_USER = 1000


class Known(NamedTuple):
    """
    One socket to make.

    Args:
        port_from: Where its port comes from.
        bind: What it is bound to, if it is.
        remote: What it is connected to, if it is.
        options: What is set before, as for ``tests.kernel.sockets.tcp``.
        more: What else the manifest tells of it.
    """

    port_from: str
    bind: Address | None = None
    remote: Address | None = None
    options: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    more: dict[str, Any] = {}  # noqa: RUF012 - likewise


DUAL: dict[str, Any] = {"v6only": 0}
V6ONLY: dict[str, Any] = {"v6only": 1}
NOPORT: dict[str, Any] = {"noport": True}
HOLDS_NONE = {"note": "holds no port, in no table"}

LISTENERS = (
    Known(EXPLICIT_LISTEN, ("0.0.0.0", 9000)),
    Known(EXPLICIT_LISTEN, ("127.0.0.1", 9001)),
    Known(EXPLICIT_LISTEN, ("::", 9002), None, DUAL, DUAL),
    Known(EXPLICIT_LISTEN, ("::", 9003), None, V6ONLY, V6ONLY),
    Known(EXPLICIT_LISTEN, ("::1", 9004)),
)

CONNECTIONS = (
    Known(AUTOMATIC, None, ("127.0.0.1", 9000)),
    Known(NO_PORT, ("192.0.2.1", 0), ("192.0.2.2", 9000), NOPORT),
    Known(BIND0_CONNECT, ("127.0.0.1", 0), ("127.0.0.1", 9000)),
    Known(EXPLICIT_CONNECT, ("127.0.0.1", 42000), ("127.0.0.1", 9001)),
    Known(AUTOMATIC, None, ("127.0.0.1", 9000), {}, {"mark": 42}),
    Known(WINDOW, None, ("127.0.0.1", 9000), {"range_option": (40090, 40093)}),
    Known(AUTOMATIC, None, ("2001:db8::2", 9002)),
    Known(AUTOMATIC, None, ("::1", 9004)),
    Known(
        AUTOMATIC,
        None,
        ("::ffff:127.0.0.1", 9000),
        {},
        {"note": "v4-mapped client, AF_INET server end"},
    ),
    Known(
        AUTOMATIC,
        None,
        ("127.0.0.1", 9002),
        {},
        {"note": "AF_INET client, v4-mapped server end"},
    ),
)

ONLY_BOUND = (
    Known(EXPLICIT, ("127.0.0.1", 41000)),
    Known(EXPLICIT, ("0.0.0.0", 41001)),
    Known(BIND0, ("127.0.0.9", 0)),
    Known(REUSE_ADDRESS, ("127.0.0.1", 41002), None, {"reuse_address": True}),
    Known(REUSE_PORT, ("127.0.0.1", 41003), None, {"reuse_port": True}),
    Known(REUSE_PORT, ("127.0.0.1", 41003), None, {"reuse_port": True}),
    Known(EXPLICIT, ("::1", 41004)),
    Known(EXPLICIT, ("::", 41005), None, V6ONLY, V6ONLY),
    Known(EXPLICIT, ("::", 41006), None, DUAL, DUAL),
    Known(EXPLICIT, ("::ffff:127.0.0.1", 41007), None, DUAL, DUAL),
)

UDP = (
    Known(AUTOMATIC, None, ("127.0.0.1", 5353)),
    Known(BIND0, ("127.0.0.1", 0)),
    Known(EXPLICIT_CONNECT, ("127.0.0.1", 42001), ("127.0.0.1", 5353)),
    Known(EXPLICIT, ("::", 5354), None, DUAL, DUAL),
    Known(EXPLICIT, ("::", 5355), None, V6ONLY, V6ONLY),
    Known(AUTOMATIC, None, ("2001:db8::2", 5354)),
    Known(AUTOMATIC, None, ("::ffff:127.0.0.1", 5353), {}, {"note": "v4-mapped"}),
    Known(REUSE_PORT, ("127.0.0.1", 5356), None, {"reuse_port": True}),
    Known(REUSE_PORT, ("127.0.0.1", 5356), None, {"reuse_port": True}),
    Known(NOT_YET, ("127.0.0.1", 0), None, NOPORT, HOLDS_NONE),
)

ON_DEVICE = Known(AUTOMATIC, None, ("127.0.0.1", 9000), {"device": "lo"}, {"bound_device": "lo"})

ENDED = (
    Known(AUTOMATIC, None, ("127.0.0.1", 9000)),
    Known(BIND0_CONNECT, ("127.0.0.1", 0), ("127.0.0.1", 9001)),
    Known(NO_PORT, ("192.0.2.1", 0), ("192.0.2.2", 9000), NOPORT),
    Known(AUTOMATIC, None, ("2001:db8::2", 9002)),
    Known(AUTOMATIC, None, ("::ffff:127.0.0.1", 9000)),
)
"""Connections whose client leaves first, and so stays in TIME_WAIT."""
