"""Warnings and notes are told where they are true, and not elsewhere."""

from __future__ import annotations

import pytest

from portroom.model.advice.cautions import cautions
from portroom.model.advice.reasons import CODES
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import TcpState
from portroom.model.facts.surroundings import FilterLine, Surroundings
from tests.unit.made_change import drafted, host, udp
from tests.unit.made_groups import listener, table

ENFORCING = Surroundings(selinux="enforcing")
FIREWALL = Surroundings(
    filters=(FilterLine("/etc/nftables.conf", 12, "tcp sport 32768-60999 accept"),)
)
WIDE = host(ephemeral=PortRange(15000, 64001))


def told(words, read=None, around=None, **options):
    """Return the sentences of the warnings and notes, by their codes."""
    change = drafted(words, read or host(), around or Surroundings(), **options)
    return {one.code: one.sentence for one in cautions(change)}


TOLD = [
    ("range=15000-64000", "same_parity", "15000 and 64000 are both even"),
    ("range=15001-64001", "same_parity", "15001 and 64001 are both odd"),
    ("range=15000-64001", "source_ports_outside_default", "15000-32767, 61000-64001"),
    ("range=15000-64001", "lost_at_boot", "until the next boot"),
    ("range=80-64001", "range_below_1024", "ports 80-1023"),
    ("unprivileged_port_start=80", "unprivileged_ports", "bind ports 80-1023"),
    ("tw_reuse=1", "does_not", "tcp_tw_reuse: It does nothing for a server"),
    ("tw_reuse=0", "does_not", "tcp_tw_reuse: "),
    ("tw_reuse=1", "time_wait_now", "0 connections in TIME_WAIT now"),
    ("tw_reuse_delay=5", "does_not", "tcp_tw_reuse_delay: It does not shorten TIME_WAIT"),
    ("autobind_reuse=1", "autobind_reuse", "SO_REUSEADDR"),
    ("step_width=7", "does_not", "It changes the order only"),
    ("reserved+=80", "reserved_outside", "Reserved outside of the range 32768-60999: 80."),
    ("reserved-=40000", "not_reserved", "Not reserved before: 40000."),
    ("range=32768-60999", "nothing_to_do", "range is 32768-60999 already."),
    ("reserved=none", "nothing_to_do", "reserved is none already."),
]


@pytest.mark.parametrize(("words", "code", "said"), TOLD, ids=[f"{w}-{c}" for w, c, _ in TOLD])
def test_it_is_told_with_numbers(words, code, said):
    """The sentence names the ports or the setting that it is about."""
    assert said in told(words)[code]


def test_a_range_of_different_parity_inside_the_default_has_nothing_against_it():
    """Only that it lasts until the next boot."""
    assert {"lost_at_boot"} == set(told("range=40000-50001"))


def test_reservations_that_are_replaced_are_told():
    """reserved= drops what others reserved; += does not."""
    read = host(reserved="9000,9001,40000")

    assert (
        "3 ports would be reserved no longer: 9000-9001, 40000."
        == told("reserved=50000", read)["reservations_dropped"]
    )
    assert "reservations_dropped" not in told("reserved+=50000", read)
    assert "reservations_dropped" not in told("reserved-=9000", read)


def test_selinux_is_told_in_both_directions():
    """Ports inside the range are not checked, those that leave it are checked again."""
    assert (
        "SELinux (enforcing) no longer checks which program may bind ports 15000-32767, "
        in told("range=15000-64001", around=ENFORCING)["selinux"]
    )
    assert "checks again" in told("range=32768-60999", WIDE, ENFORCING)["selinux"]
    assert "selinux" not in told("tw_reuse=1", around=ENFORCING)
    assert "selinux" not in told("range=15000-64001")


def test_firewall_rules_are_told_where_the_range_goes_beyond_them():
    """A line that names the default range matters to a wider range only."""
    said = told("range=15000-64001", around=FIREWALL)["filter_names_default_range"]

    assert "/etc/nftables.conf:12" in said
    assert "filter_names_default_range" not in told("range=40000-50001", around=FIREWALL)
    assert "filter_names_default_range" not in told("tw_reuse=1", WIDE, FIREWALL)


def test_source_ports_that_were_there_before_are_no_news():
    """Only what is new outside of the default range is told."""
    assert "source_ports_outside_default" not in told("range=20000-63001", WIDE)
    assert "14999" in told("range=14999-64000", WIDE)["source_ports_outside_default"]


def test_listeners_that_lose_their_right_are_told():
    """A higher first unprivileged port concerns those who listen below it."""
    read = host(listener(2000), listener(3000), udp(2001), udp(2002, ("198.51.100.1", 53)))
    said = told("unprivileged_port_start=2500", read)["privileged_listeners"]

    assert "tcp 2000" in said
    assert "udp 2001" in said
    assert "3000" not in said
    assert "2002" not in said


def test_reuse_without_timestamps_does_nothing_and_says_so():
    """tcp_tw_reuse needs timestamps, whatever its value above 0."""
    off = host(tcp_timestamps=0)

    assert "no_timestamps" in told("tw_reuse=1", off)
    assert "no_timestamps" not in told("tw_reuse=0", off)
    assert "no_timestamps" not in told("tw_reuse=1")


def test_a_delay_without_reuse_does_nothing_and_says_so():
    """Both in one change are judged together."""
    off = host(tcp_tw_reuse=0)

    assert "no_reuse" in told("tw_reuse_delay=5", off)
    assert "no_reuse" not in told("tw_reuse_delay=5 tw_reuse=1", off)


def test_time_wait_is_counted():
    """The note says how many connections it is about now."""
    read = host(table(40001, 40002, state=TcpState.TIME_WAIT), table(40003))

    assert told("tw_reuse=1", read)["time_wait_now"].startswith("2 connections in TIME_WAIT now")


def test_every_code_that_is_told_is_in_the_table():
    """The table says what each means."""
    assert {code for _, code, _ in TOLD} <= set(CODES)
