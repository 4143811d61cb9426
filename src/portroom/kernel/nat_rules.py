"""Rules that translate sources: the ports that they choose from.

Rules of this file:

- asked are the rules of nf_tables: those of `nft`, and those that iptables-nft
  keeps there as targets. The older iptables keeps its own elsewhere and is not
  asked: no rule tells then;
- the kernel does not say which rule translated a connection: it is the narrowest
  one for the protocol and the address whose range holds all ports that are in use;
- a range that comes from a map or from a register not loaded beside the rule is
  not known, and no rule then tells;
- pure bytes are parsed below; chains and tables are not followed.

Source: Linux net/netfilter/nf_tables_api.c, nft_masq.c, nft_nat.c, nft_immediate.c,
nft_compat.c; include/uapi/linux/netfilter/nf_tables.h, nf_nat.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from portroom.kernel import nfnetlink
from portroom.kernel.nfnetlink import fields, listed, nested
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import Family, packed_address

GET_RULE = 7
"""NFT_MSG_GETRULE."""

RULE_EXPRESSIONS = 4
EXPRESSION_NAME, EXPRESSION_DATA = 1, 2

WORDS = (b"masq\0", b"nat\0", b"MASQUERADE\0", b"SNAT\0")
"""One of these stands in every rule that matters: the others are not taken apart."""

SOURCE_NAT = 0
"""NFT_NAT_SNAT."""

META_L4PROTO = 16
NETWORK_HEADER, PROTOCOL_OFFSET = 1, 9
"""Where IPv4 has the protocol: payload base and offset."""

EQUAL = 0

PORTS_GIVEN, ADDRESSES_GIVEN = 2, 1
"""NF_NAT_RANGE_PROTO_SPECIFIED, NF_NAT_RANGE_MAP_IPS."""

OLD_RANGE = struct.Struct("=4xI4s4s2s2s")
"""struct nf_nat_ipv4_multi_range_compat: flags, addresses, ports."""

RANGE = struct.Struct("=I16s16s2s2s")
"""struct nf_nat_range."""

PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17}


class NatRule(NamedTuple):
    """
    One rule that translates sources.

    ``protocol`` is None for any, ``ports`` None for the kernel's own choice.
    ``first`` and ``last`` are the addresses it translates to, both ends included,
    empty for the device's own (masquerade) and where they cannot be told.
    """

    protocol: int | None
    ports: PortRange | None
    first: bytes = b""
    last: bytes = b""


def read_nat_rules() -> tuple[NatRule, ...]:
    """
    Return the rules that translate sources in the namespace of the calling thread.

    Raises:
        OSError: The kernel refused: EPERM without CAP_NET_ADMIN.
        KernelDataError: A rule cannot be read.
    """
    messages = nfnetlink.steady(nfnetlink.TABLES, GET_RULE)
    found = (parse_rule(one) for one in messages if any(word in one for word in WORDS))
    return tuple(rule for rule in found if rule is not None)


def range_of(
    rules: Iterable[NatRule], protocol: str, address: str, seen: PortRange
) -> PortRange | None:
    """
    Return the ports that connections are translated to, None where no rule tells.

    Args:
        rules: Those of the namespace.
        protocol: ``tcp`` or ``udp``.
        address: The translated address.
        seen: The lowest and the highest port in use.

    >>> rules = [NatRule(6, PortRange(5000, 5009)), NatRule(None, None)]
    >>> range_of(rules, "tcp", "10.8.0.1", PortRange(5001, 5007))
    PortRange(first=5000, last=5009)
    >>> range_of(rules, "udp", "10.8.0.1", PortRange(5001, 5007))
    """
    family, packed = packed_address(address)
    packed = packed[:4] if family is Family.IPV4 else packed
    fitting = [
        rule.ports
        for rule in rules
        if rule.ports is not None
        and rule.protocol in {None, PROTOCOL_NUMBERS.get(protocol)}
        and (not rule.first or rule.first <= packed <= rule.last)
        and seen.first in rule.ports
        and seen.last in rule.ports
    ]
    return min(fitting, key=lambda ports: ports.ports, default=None)


def parse_rule(message: bytes) -> NatRule | None:
    """
    Return what one rule translates sources to, None for any other rule.

    Args:
        message: One whole message of NFT_MSG_GETRULE.

    Raises:
        KernelDataError: An attribute does not end where it says.
    """
    found = Found(message[nfnetlink.FAMILY])
    for expression in listed(fields(message).get(RULE_EXPRESSIONS, b"")):
        parts = nested(expression)
        name, data = parts.get(EXPRESSION_NAME, b""), parts.get(EXPRESSION_DATA, b"")
        found.take(name.rstrip(b"\0").decode("ascii", "replace"), nested(data))
    return found.rule


class Found:
    """
    What the expressions of one rule say, taken in their order.

    Values stay known only until something else than a load of another value comes,
    since that may write to the same register.
    """

    def __init__(self, family: int) -> None:
        self.rule: NatRule | None = None
        self._family = family
        self._registers: dict[int, bytes] = {}
        self._protocol: int | None = None
        self._asks_protocol = False

    def take(self, name: str, data: dict[int, bytes]) -> None:
        """Take the next expression, with its attributes."""
        if name == "immediate":
            self._registers[_number(data, 1)] = nested(data.get(2, b"")).get(1, b"")
            return
        self._protocol = self._compared(name, data)
        if name == "masq":
            self.rule = NatRule(self._protocol, self._ports(data, 2, 3))
        elif name == "nat" and _number(data, 1) == SOURCE_NAT:
            first, last = (self._loaded(data, register) for register in (3, 4))
            self.rule = NatRule(self._protocol, self._ports(data, 5, 6), first, last or first)
        elif name == "target":
            self.rule = parse_target(data, self._family, self._protocol) or self.rule
        self._asks_protocol = _loads_protocol(name, data)
        self._registers.clear()

    def _compared(self, name: str, data: dict[int, bytes]) -> int | None:
        """Return the protocol that the rule is for, after this expression."""
        if name == "cmp" and self._asks_protocol and _number(data, 2) == EQUAL:
            return int.from_bytes(nested(data.get(3, b"")).get(1, b""), "big")
        return self._protocol

    def _loaded(self, data: dict[int, bytes], attribute: int) -> bytes:
        """Return the value of the register that an attribute names, empty if not known."""
        return self._registers.get(_number(data, attribute), b"")

    def _ports(self, data: dict[int, bytes], lowest: int, highest: int) -> PortRange | None:
        """Return the range between two registers, or of one alone."""
        first = self._loaded(data, lowest)
        return _port_range(first, self._loaded(data, highest) if highest in data else first)


def parse_target(data: dict[int, bytes], family: int, protocol: int | None) -> NatRule | None:
    """
    Return what a target of iptables translates sources to, None for another target.

    Args:
        data: Its attributes: name, revision and structure.
        family: Of the table; IPv4 has a structure of its own at revision 0.
        protocol: That the rule is for, None for any.
    """
    name, revision, info = data.get(1, b""), _number(data, 2), data.get(3, b"")
    if name not in {b"MASQUERADE\0", b"SNAT\0"}:
        return None
    layout = OLD_RANGE if family == Family.IPV4 and revision == 0 else RANGE
    if len(info) < layout.size:
        return None
    flags, first, last, lowest, highest = layout.unpack_from(info)
    size = 4 if family == Family.IPV4 else 16
    ports = _port_range(lowest, highest) if flags & PORTS_GIVEN else None
    if not flags & ADDRESSES_GIVEN:
        return NatRule(protocol, ports)
    return NatRule(protocol, ports, first[:size], last[:size])


def _loads_protocol(name: str, data: dict[int, bytes]) -> bool:
    """Say whether an expression loads the number of the transport protocol."""
    if name == "meta":
        return _number(data, 2) == META_L4PROTO
    place = [_number(data, attribute) for attribute in (2, 3, 4)]
    return name == "payload" and place == [NETWORK_HEADER, PROTOCOL_OFFSET, 1]


def _port_range(first: bytes, last: bytes) -> PortRange | None:
    """Return the range of ports, two bytes each, None if they are none."""
    if len(first) != 2 or len(last) != 2 or first > last or not any(first):
        return None
    return PortRange(int.from_bytes(first, "big"), int.from_bytes(last, "big"))


def _number(data: dict[int, bytes], attribute: int) -> int:
    """Return an attribute of four bytes as a number, -1 where there is none."""
    value = data.get(attribute, b"")
    return int.from_bytes(value, "big") if len(value) == 4 else -1
