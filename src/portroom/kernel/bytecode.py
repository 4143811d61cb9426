"""Filter programs that the kernel runs over each socket of a dump.

Rules of this file:

- pure bytes, no socket; the kernel audits a program and refuses a wrong one;
- a program is a conjunction: a condition that holds jumps to the next one, one
  that does not jumps four bytes past the end, which is how a program rejects.

Source: Linux net/ipv4/inet_diag.c, inet_diag_bc_audit and inet_diag_bc_run.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from portroom.model.facts.ports import LAST_PORT, PortRange
from portroom.model.facts.sockets import Family

JUMP, LOCAL_GE, LOCAL_LE, REMOTE_GE, REMOTE_LE = 1, 2, 3, 4, 5
AUTO, LOCAL_HOST, REMOTE_HOST, DEVICE = 6, 7, 8, 9

OPERATION = struct.Struct("=BBH")
"""Code, bytes to the next operation if true, bytes to the next if false."""

HOST = struct.Struct("=BBHi")
"""Family, prefix length, padding, port (-1 is any); the address follows."""

REJECT_BYTES = 4
"""A jump that ends this far past the program rejects the socket."""


class Condition(NamedTuple):
    """One test of a program: its code, its operand, and whether it must fail."""

    code: int
    operand: bytes = b""
    negated: bool = False


def program(conditions: Iterable[Condition]) -> bytes:
    """
    Return the filter program under which all *conditions* hold.

    No condition gives no program: every socket passes.

    >>> program([Condition(AUTO)]).hex()
    '06040800'
    """
    code = b""
    for condition in reversed(list(conditions)):
        # Operations are laid from the end, where the distance to it is known.
        code = _operation(condition, len(code)) + code
    return code


def _operation(condition: Condition, following: int) -> bytes:
    """Return the bytes of a condition with *following* bytes of program after it."""
    length = OPERATION.size + len(condition.operand)
    past_end = length + following + REJECT_BYTES
    if not condition.negated:
        return OPERATION.pack(condition.code, length, past_end) + condition.operand
    # Where it holds, the jump after it rejects; where not, that jump is passed over.
    jump = OPERATION.pack(JUMP, OPERATION.size, OPERATION.size + following + REJECT_BYTES)
    test = OPERATION.pack(condition.code, length, length + len(jump))
    return test + condition.operand + jump


def automatic() -> Condition:
    """
    Return the test for a port that was not asked for by number.

    True for ports given by connect() and by bind() to port 0, and for accepted
    sockets, whatever their listener asked for.
    """
    return Condition(AUTO)


def unless(condition: Condition) -> Condition:
    """Return the test for the opposite of *condition*."""
    return condition._replace(negated=not condition.negated)


def local_ports(ports: PortRange) -> tuple[Condition, ...]:
    """Return the tests for a local port in *ports*, both ends included."""
    return _ports(LOCAL_GE, LOCAL_LE, ports)


def remote_ports(ports: PortRange) -> tuple[Condition, ...]:
    """Return the tests for a remote port in *ports*, both ends included."""
    return _ports(REMOTE_GE, REMOTE_LE, ports)


def local_address(family: Family, packed: bytes, prefix_bits: int) -> Condition:
    """
    Return the test for a local address that begins as *packed* does.

    An IPv4 test holds for v4-mapped IPv6 sockets too.

    Args:
        family: Family of *packed*.
        packed: 16 bytes as in sock_diag; IPv4 stands in the first four.
        prefix_bits: How many leading bits must be equal: 32 or 128 for all.
    """
    return Condition(LOCAL_HOST, _host(family, packed, prefix_bits))


def remote_address(family: Family, packed: bytes, prefix_bits: int) -> Condition:
    """Return the test for a remote address; arguments as in ``local_address``."""
    return Condition(REMOTE_HOST, _host(family, packed, prefix_bits))


def device(index: int) -> Condition:
    """Return the test for a socket that is bound to the device with *index*."""
    return Condition(DEVICE, struct.pack("=I", index))


def _ports(at_least: int, at_most: int, ports: PortRange) -> tuple[Condition, ...]:
    """Return the tests for both ends of *ports* that are tests at all."""
    conditions = []
    if ports.first > 0:
        conditions.append(Condition(at_least, _port(ports.first)))
    if ports.last < LAST_PORT:
        conditions.append(Condition(at_most, _port(ports.last)))
    return tuple(conditions)


def _port(port: int) -> bytes:
    """Return the operand of a port test: an operation that only holds a number."""
    return OPERATION.pack(0, 0, port)


def _host(family: Family, packed: bytes, prefix_bits: int) -> bytes:
    """Return the operand of an address test, any port."""
    address = packed[:4] if family is Family.IPV4 else packed
    return HOST.pack(family, prefix_bits, 0, -1) + address
