"""Rules of nf_tables, recorded and made up, become the ports that they choose from."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel.nat_rules import NatRule, parse_rule, range_of
from portroom.kernel.sock_diag import attribute
from portroom.model.facts.ports import PortRange
from tests.unit.kernel.test_ctnetlink import message

RECORDED = {
    "masquerade to :50000-50009, any protocol of a set": (
        """
01000008090001006d61646500000000080002006f7574000c0003000000000000000003380104002400010009000100
6d6574610000000014000200080002000000000708000100000000013800010008000100636d70002c00020008000100
00000001080002000000000018000300140001006f75747369646500000000000000000024000100090001006d657461
000000001400020008000200000000100800010000000001300001000b0001006c6f6f6b75700000200002000b000100
5f5f736574300000080002000000000108000500000000002c0001000e000100696d6d65646961746500000018000200
08000100000000010c00020006000100c35000002c0001000e000100696d6d6564696174650000001800020008000100
000000020c00020006000100c35900002c000100090001006d617371000000001c000200080001000000000208000200
000000010800030000000002
""",
        NatRule(None, PortRange(50000, 50009)),
    ),
    "ip protocol udp snat ip to 10.8.0.1-10.8.0.4:3000": (
        """
01000008090001006d61646500000000080002006f7574000c00030000000000000000050c0006000000000000000004
8001040024000100090001006d6574610000000014000200080002000000000f08000100000000012c00010008000100
636d700020000200080001000000000108000200000000000c0003000500010002000000340001000c0001007061796c
6f6164002400020008000100000000010800020000000001080003000000000908000400000000012c00010008000100
636d700020000200080001000000000108000200000000000c00030005000100110000002c0001000e000100696d6d65
64696174650000001800020008000100000000010c000200080001000a0800012c0001000e000100696d6d6564696174
650000001800020008000100000000020c000200080001000a0800042c0001000e000100696d6d656469617465000000
1800020008000100000000030c000200060001000bb8000048000100080001006e6174003c0002000800010000000000
080002000000000208000300000000010800040000000002080005000000000308000600000000030800070000000003
""",
        NatRule(17, PortRange(3000, 3000), b"\x0a\x08\0\1", b"\x0a\x08\0\4"),
    ),
    "tcp masquerade random,persistent": (
        """
01000008090001006d61646500000000080002006f7574000c00030000000000000000060c0006000000000000000005
7000040024000100090001006d6574610000000014000200080002000000001008000100000000012c00010008000100
636d700020000200080001000000000108000200000000000c00030005000100060000001c000100090001006d617371
000000000c000200080001000000000c
""",
        NatRule(6, None),
    ),
    "tcp snat ip to ip saddr map { ... }": (
        """
01000008090001006d61646500000000080002006f7574000c000300000000000000000a0c0006000000000000000008
5801040024000100090001006d6574610000000014000200080002000000001008000100000000012c00010008000100
636d700020000200080001000000000108000200000000000c000300050001000600000024000100090001006d657461
0000000014000200080002000000000f08000100000000012c00010008000100636d7000200002000800010000000001
08000200000000000c0003000500010002000000340001000c0001007061796c6f616400240002000800010000000001
0800020000000001080003000000000c0800040000000004380001000b0001006c6f6f6b75700000280002000b000100
5f5f6d617030000008000200000000010800030000000001080005000000000048000100080001006e6174003c000200
080001000000000008000200000000020800030000000001080004000000000a0800050000000009080006000000000b
0800070000000003
""",
        NatRule(6, None),
    ),
    "iptables -p tcp -j MASQUERADE --to-ports 50000-50009": (
        """
02000008080001006e61740010000200504f5354524f5554494e47000c0003000000000000000002c800040024000100
090001006d6574610000000014000200080002000000001008000100000000012c00010008000100636d700020000200
080001000000000108000200000000000c00030005000100060000002c0001000c000100636f756e746572001c000200
0c00010000000000000000000c0002000000000000000000480001000b0001007461726765740000380002000f000100
4d415351554552414445000008000200000000001c00030001000000020000000000000000000000c350c35900000000
""",
        NatRule(6, PortRange(50000, 50009)),
    ),
    "iptables -p udp -j SNAT --to-source 10.8.0.1-10.8.0.3:2000-3000": (
        """
02000008080001006e61740010000200504f5354524f5554494e47000c00030000000000000000030c00060000000000
00000002c400040024000100090001006d6574610000000014000200080002000000001008000100000000012c000100
08000100636d700020000200080001000000000108000200000000000c00030005000100110000002c0001000c000100
636f756e746572001c0002000c00010000000000000000000c0002000000000000000000440001000b00010074617267
657400003400020009000100534e41540000000008000200000000001c00030001000000030000000a0800010a080003
07d00bb800000000
""",
        NatRule(17, PortRange(2000, 3000), b"\x0a\x08\0\1", b"\x0a\x08\0\3"),
    ),
    "iptables -j MASQUERADE --random-fully": (
        """
02000008080001006e61740010000200504f5354524f5554494e47000c00030000000000000000040c00060000000000
00000003780004002c0001000c000100636f756e746572001c0002000c00010000000000000000000c00020000000000
00000000480001000b0001007461726765740000380002000f0001004d41535155455241444500000800020000000000
1c000300010000001000000000000000000000000000000000000000
""",
        NatRule(None, None),
    ),
    "ip6tables -p tcp -j MASQUERADE --to-ports 700-800": (
        """
0a000008080001006e61740010000200504f5354524f5554494e47000c0003000000000000000002d800040024000100
090001006d6574610000000014000200080002000000001008000100000000012c00010008000100636d700020000200
080001000000000108000200000000000c00030005000100060000002c0001000c000100636f756e746572001c000200
0c00010000000000000000000c0002000000000000000000580001000b0001007461726765740000480002000f000100
4d415351554552414445000008000200000000002c000300020000000000000000000000000000000000000000000000
00000000000000000000000002bc0320
""",
        NatRule(6, PortRange(700, 800)),
    ),
    "ip6tables -p tcp -j SNAT --to-source [fd00::1]:5000-6000": (
        """
0a000008080001006e61740010000200504f5354524f5554494e47000c00030000000000000000030c00060000000000
00000002d400040024000100090001006d6574610000000014000200080002000000001008000100000000012c000100
08000100636d700020000200080001000000000108000200000000000c00030005000100060000002c0001000c000100
636f756e746572001c0002000c00010000000000000000000c0002000000000000000000540001000b00010074617267
657400004400020009000100534e41540000000008000200000000012c00030003000000fd0000000000000000000000
00000001fd00000000000000000000000000000113881770
""",
        NatRule(
            6,
            PortRange(5000, 6000),
            bytes.fromhex("fd00" + "00" * 13 + "01"),
            bytes.fromhex("fd00" + "00" * 13 + "01"),
        ),
    ),
}
"""Rules as Linux 6.18 tells them, by the line that made them, and what they mean."""


def expression(name, *attributes):
    """Return one expression of a rule."""
    data = b"".join(attribute(number, value) for number, value in attributes)
    return attribute(1, attribute(1, name + b"\0") + attribute(2, data))


def number(value):
    """Return a number as nf_tables has it."""
    return struct.pack(">I", value)


def load(register, value):
    """Return the expression that loads a value."""
    return expression(b"immediate", (1, number(register)), (2, attribute(1, value)))


def rule(*expressions, family=2):
    """Return the message of a rule."""
    listed = attribute(4, b"".join(expressions))
    return bytes(message(struct.pack("=BBH", family, 0, 0) + listed))


MASQUERADE = expression(b"masq", (2, number(1)), (3, number(2)))


@pytest.mark.parametrize("line", RECORDED)
def test_recorded_rules(line):
    """
    The rule means what its line says.
    """
    recorded, expected = RECORDED[line]

    assert expected == parse_rule(bytes(message(recorded)))


@pytest.mark.parametrize(
    "one",
    [
        rule(),
        rule(expression(b"counter")),
        rule(expression(b"nat", (1, number(1)))),
        rule(expression(b"target", (1, b"DNAT\0"), (2, number(0)), (3, bytes(24)))),
        rule(expression(b"target", (1, b"SNAT\0"), (2, number(0)), (3, bytes(8)))),
        rule(expression(b"redir", (1, number(1)))),
    ],
    ids=["empty", "counter", "dnat", "iptables dnat", "short target", "redirect"],
)
def test_other_rules_translate_no_source(one):
    """
    A destination that is translated takes no port of this host.
    """
    assert parse_rule(one) is None


def test_a_register_that_something_else_may_have_written_is_not_known():
    """
    A value counts only beside the rule that uses it.
    """
    loads = load(1, b"\x13\x88"), load(2, b"\x17\x70")

    assert NatRule(None, PortRange(5000, 6000)) == parse_rule(rule(*loads, MASQUERADE))
    assert NatRule(None, None) == parse_rule(rule(*loads, expression(b"lookup"), MASQUERADE))


@pytest.mark.parametrize(
    ("first", "last"), [(b"\x17\x70", b"\x13\x88"), (b"\0\0", b"\0\1"), (b"1", b"2"), (b"", b"")]
)
def test_what_is_no_range_is_none(first, last):
    """
    The wrong way round, port zero, or not two bytes.
    """
    assert NatRule(None, None) == parse_rule(rule(load(1, first), load(2, last), MASQUERADE))


def test_a_protocol_that_is_excluded_is_not_the_one():
    """
    Only "equal" confines a rule to a protocol.
    """

    def compared(operation):
        value = attribute(1, b"\x06")
        return rule(
            expression(b"meta", (1, number(1)), (2, number(16))),
            expression(b"cmp", (1, number(1)), (2, number(operation)), (3, value)),
            MASQUERADE,
        )

    assert 6 == parse_rule(compared(0)).protocol
    assert parse_rule(compared(1)).protocol is None


TEN, HUNDRED = PortRange(50000, 50009), PortRange(50000, 50099)
ADDRESS = b"\x0a\x08\0\1"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], None),
        ([NatRule(None, None)], None),
        ([NatRule(None, TEN)], TEN),
        ([NatRule(6, HUNDRED), NatRule(None, TEN), NatRule(None, None)], TEN),
        ([NatRule(17, TEN), NatRule(6, HUNDRED)], HUNDRED),
        ([NatRule(6, PortRange(50003, 50009))], None),
        ([NatRule(6, TEN, ADDRESS, ADDRESS)], TEN),
        ([NatRule(6, TEN, b"\x0a\x08\0\2", b"\x0a\x08\0\3")], None),
        ([NatRule(6, TEN, ADDRESS + bytes(12), ADDRESS + bytes(12))], None),
    ],
    ids=["none", "any", "one", "narrow", "udp", "outside", "address", "others", "IPv6"],
)
def test_which_rule_it_was(rules, expected):
    """
    The narrowest for the protocol and the address that all ports in use fit into.
    """
    assert expected == range_of(rules, "tcp", "10.8.0.1", PortRange(50002, 50007))


@given(some.binary(max_size=200))
def test_hostile_bytes_are_read_or_refused(content):
    """
    Any bytes give a rule, nothing, or an error in words.
    """
    for payload in (content, b"\2\0\0\0" + attribute(4, attribute(1, content))):
        if len(payload) < 4:
            continue
        try:
            found = parse_rule(bytes(message(payload)))
        except KernelDataError:
            continue

        assert found is None or isinstance(found, NatRule)


@given(some.sampled_from(sorted(RECORDED)), some.data())
def test_a_changed_byte_is_read_or_refused(line, data):
    """
    A recorded rule with bytes exchanged does no other harm.
    """
    content = bytearray.fromhex(RECORDED[line][0])
    for place in data.draw(some.lists(some.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(some.integers(0, 255))
    try:
        found = parse_rule(bytes(message(bytes(content))))
    except KernelDataError:
        return

    assert found is None or isinstance(found, NatRule)
