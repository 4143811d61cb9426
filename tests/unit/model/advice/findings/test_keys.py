"""How full a destination is, in steps, and what TIME_WAIT reuse does for it."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.findings.keys import level, tight_key, tw_reuse
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.scene import Probed
from portroom.model.facts.sockets import Kind
from tests.unit.made_change import udp
from tests.unit.made_groups import REMOTE
from tests.unit.made_scenes import NGINX, PERL, SHOP, connected, held_by, scene, small, time_waits


def flagged(sockets: int, **of):
    """Return connections that surely share their ports: nothing is in doubt."""
    return connected(40000, sockets, kind=Kind.NO_PORT, **of)


@pytest.mark.parametrize(
    ("sockets", "severity"),
    [(50, None), (51, "info"), (80, "info"), (81, "warning"), (95, "warning"), (96, "critical")],
)
def test_severity_by_what_is_surely_held(sockets, severity):
    """Above a half, four fifths, and nineteen twentieths of a hundred ports."""
    found = [one.severity for one in tight_key(scene(small(flagged(sockets))))]

    assert ([severity] if severity else []) == found


def test_it_tells_numbers_owner_and_command():
    """The evidence has held, eligible and free ports; the command widens."""
    fully = flagged(90)
    (one,) = tight_key(scene(held_by(small(fully), (fully, NGINX))))

    assert one.evidence.startswith("198.51.100.1:443 from 192.0.2.1: 90 of 100 eligible ports held")
    assert "10 ports are surely free" in one.evidence
    assert "portroom set range=15000-64001 --reserve --try" == one.command
    assert ["nginx"] == [owner.command for owner in one.owners]
    assert 90 == one.numbers["held_ports"]


@pytest.mark.parametrize(
    ("reserved", "said"),
    [
        ("", " Each connect() tries up to 2,500 ports of one parity first, which takes long."),
        ("40000-40999", " Each connect() tries up to 2,000 ports of one parity first,"),
        ("40000-41001", ""),
    ],
)
def test_the_cliff_is_told_where_it_costs(reserved, said):
    """From 2,000 ports of one parity on, the reserved ones left out."""
    read = small(flagged(4990), ephemeral=PortRange(40000, 44999), reserved=reserved)
    (one,) = tight_key(scene(read))

    assert said in one.evidence
    assert bool(said) == ("parity" in one.evidence)


@pytest.mark.parametrize("probed", [False, True])
def test_no_room_is_promised_where_ports_are_bound(probed):
    """A bound port is lost to every destination: a second one has none more."""
    automatic = connected(40000, 24, step=2, kind=Kind.NO_PORT)
    bound = connected(40001, 40, step=2, kind=Kind.UNKNOWN if not probed else Kind.NO_PORT)
    read = held_by(small(automatic, bound), (automatic, PERL), (bound, PERL))
    said = Probed(blocked=PortSet.of([40061])) if probed else None
    (one,) = tight_key(scene(read, probed=said))

    assert "gives no more room while a program binds before it connects" in one.remedy
    assert "doubles" not in one.remedy


def test_a_doubt_about_bound_ports_is_told_until_the_kernel_was_asked():
    """A full range has both parities, whoever filled it: nothing but the probe can tell."""
    full = connected(40000, 100)
    read = held_by(small(full), (full, PERL))
    unasked, *_ = tight_key(scene(read))
    asked, *_ = tight_key(scene(read, probed=Probed(free=PortSet.of([40000, 40001]))))

    assert "doubles the room, unless its program binds before it connects." in unasked.remedy
    assert "doubles the room. " in asked.remedy


def test_room_is_promised_where_another_program_binds_first():
    """Its ports are its own trouble."""
    automatic, bound = flagged(60), connected(40061, 10, step=2, remote=("198.51.100.9", 80))
    read = held_by(small(automatic, bound), (automatic, NGINX), (bound, PERL))
    (one,) = tight_key(scene(read))

    assert "doubles the room" in one.remedy


def test_a_pool_of_bound_sockets_has_its_own_remedy():
    """bind() to port 0 heeds no destination; another local address is another pool."""
    key = msgspec.structs.replace(
        scene(small(flagged(90))).keys[0], operation="bind0", remote_address=None, remote_port=None
    )
    (one,) = tight_key(msgspec.structs.replace(scene(), keys=(key,)))

    assert "a second address of this host have ports of their own" in one.remedy


def test_a_full_key_says_so():
    """Nothing is free, nothing in doubt."""
    (one,) = tight_key(scene(small(flagged(100))))

    assert "No port is left" in one.evidence
    assert "critical" == one.severity


def test_a_command_names_the_namespace():
    """What helps in a namespace is run in it."""
    read = msgspec.structs.replace(small(flagged(90)), netns=SHOP)
    (one,) = tight_key(scene(read))

    assert one.command.endswith(" --netns shop")


def test_with_a_wide_range_the_next_step_is_to_explain():
    """Where more ports are no longer the answer, none is proposed."""
    wide = PortRange(1024, 65535)
    many = connected(1024, 60_000, kind=Kind.NO_PORT)
    (one,) = tight_key(scene(small(many, ephemeral=wide)))

    assert "portroom explain EADDRNOTAVAIL --remote 198.51.100.1:443" == one.command


def test_a_doubt_about_a_tight_key_is_told_beside():
    """Severity comes from what is sure; the rest is a clause."""
    elsewhere = connected(40060, 30, remote=("198.51.100.9", 80))
    (one,) = tight_key(scene(small(flagged(60), elsewhere)))

    assert "info" == one.severity
    assert "and 30 more ports are in doubt" in one.evidence


def test_a_key_that_may_be_full_is_information():
    """Two sure ports and ninety in doubt: one finding, for the fullest key."""
    others = [connected(40000 + 9 * n, 9, remote=("198.51.100.9", 80 + n)) for n in range(10)]
    found = list(tight_key(scene(small(*others))))

    assert ["info"] == [one.severity for one in found]
    assert "is in doubt: 9 of 100 eligible ports surely held" in found[0].evidence
    assert "--probe" in found[0].command


def test_udp_has_no_cliff_and_another_remedy():
    """Its search knows no parity."""
    peers = [udp(port, REMOTE) for port in range(40000, 40090)]
    found = [one for one in tight_key(scene(small(*peers))) if "UDP" in one.evidence]

    assert found
    assert "parity" not in found[0].evidence
    assert "one socket talk to many peers" in found[0].remedy


def test_few_ports_of_many_destinations_are_no_worry():
    """Sixty sockets over three destinations leave each with eighty ports."""
    spread = [
        connected(40000 + 20 * n, 20, kind=Kind.NO_PORT, remote=("198.51.100.1", 443 + n))
        for n in range(3)
    ]

    assert [] == list(tight_key(scene(small(*spread))))


# What reuse does.


def waiting(sockets: int = 70, **numbers: int):
    """Return a scene with TIME_WAITs towards a destination that is not this host."""
    return scene(small(time_waits(40000, sockets, [30.0]), **numbers))


@pytest.mark.parametrize(
    ("numbers", "said", "command"),
    [
        ({"tcp_tw_reuse": 2}, "acts on loopback alone", "portroom set tcp_tw_reuse=1 --try"),
        ({"tcp_tw_reuse": 0}, "switches reuse off", "portroom set tcp_tw_reuse=1 --try"),
        (
            {"tcp_tw_reuse": 1, "tcp_timestamps": 0},
            "tcp_timestamps is 0, so nothing is reused, whatever tcp_tw_reuse (1) says",
            "sysctl -w net.ipv4.tcp_timestamps=1",
        ),
        (
            {"tcp_tw_reuse": 1, "tcp_tw_reuse_delay": 60_000},
            "tcp_tw_reuse_delay is 60,000 ms",
            "portroom set tcp_tw_reuse_delay=1000",
        ),
    ],
)
def test_why_time_waits_are_not_reused(numbers, said, command):
    """Loopback alone, off, without timestamps, or late."""
    (one,) = tw_reuse(waiting(**numbers))

    assert said in one.evidence
    assert "70 TIME_WAITs are towards 198.51.100.1:443" in one.evidence
    assert command == one.command
    assert 70 == one.numbers["time_wait"]


def test_reuse_that_acts_is_no_finding():
    """With 1, timestamps and a second of delay there is nothing to say."""
    assert [] == list(tw_reuse(waiting(tcp_tw_reuse=1)))


def test_loopback_is_reused_by_default():
    """2 is enough where both ends are this host."""
    here = time_waits(40000, 70, [0.5], local="127.0.0.1", remote=("127.0.0.1", 6379))

    assert [] == list(tw_reuse(scene(small(here, tcp_tw_reuse=2))))


@pytest.mark.parametrize("sockets", [10, 50])
def test_few_time_waits_need_no_reuse(sockets):
    """Up to a half of the ports nobody is in need."""
    assert [] == list(tw_reuse(waiting(sockets, tcp_tw_reuse=0)))


def test_open_connections_are_not_helped_by_reuse():
    """A key full of ESTABLISHED has another problem."""
    assert [] == list(tw_reuse(scene(small(flagged(90), tcp_tw_reuse=0))))


def test_reuse_asked_for_without_timestamps_is_told_on_a_quiet_host():
    """1 was set by somebody, and cannot act."""
    (one,) = tw_reuse(scene(small(tcp_tw_reuse=1, tcp_timestamps=0)))

    assert "info" == one.severity
    assert [] == list(tw_reuse(scene(small(tcp_tw_reuse=2, tcp_timestamps=0))))


def test_levels_are_open_below():
    """A ratio is above its level, not on it."""
    assert ["", "info", "warning", "critical"] == [level(r) for r in (0.5, 0.8, 0.95, 1.0)]
