"""
A sample looks as deep as it must: counters prove it, and the kernel agrees.

20 ports of the range; a key is half full with ten.
"""

from __future__ import annotations

import socket

import msgspec
import pytest

from portroom.api.charging import Charging
from portroom.api.sampling import Sampler
from portroom.api.source import Live
from portroom.model.facts.config import Config, Serve
from portroom.model.facts.sample import BELOW_HALF, FULL, IN_RANGE
from tests.kernel.sockets import connected, listener, tcp

REMOTE = ("127.0.0.1", 9000)
RANGE = "40000 40019"
OTHER = ("127.0.0.1", 9001)


def sampler() -> Sampler:
    """Return a sampler that took its first sample, which is a full one."""
    made = new_sampler()
    assert made.sample().sample.depth == FULL
    return made


def new_sampler() -> Sampler:
    """Return a sampler of the caller's namespace."""
    config = Config(serve=Serve(full_interval_s=1000.0))
    return Sampler(Live(), config, Charging(config.owners))


def depths_while_filling(connections):
    """
    Return depth and held ports of the tightest key before, and after so many connects.

    The listener and what it accepts lie outside of the range, yet are in use.
    """
    listener(*REMOTE)
    watch = sampler()
    before = watch.sample().sample
    for _ in range(connections):
        connected(REMOTE)
    after = watch.sample().sample
    return before.depth, after.depth, [key.held_ports for key in after.keys[:1]], after.gaps


def test_a_sample_that_cannot_hold_half_a_key_asks_for_no_socket(netns):
    """With one listener and four connections, nine sockets in use, no key is looked at."""
    before, after, held, gaps = netns(depths_while_filling, 4, ip_local_port_range=RANGE)

    assert (BELOW_HALF, BELOW_HALF, []) == (before, after, held)
    assert ["below half"] == [gap.reason[:10] for gap in gaps if gap.source == "keys"]


def test_a_key_that_is_half_full_is_always_looked_at(netns):
    """Ten connections hold half of twenty ports: they are counted, each of them."""
    _, after, held, gaps = netns(depths_while_filling, 10, ip_local_port_range=RANGE)

    assert (IN_RANGE, [10]) == (after, held)
    assert [] == [gap for gap in gaps if gap.source == "keys"]


def depth_with_bound(bound):
    """Return inuse of sockstat and the depth of a sample beside sockets that are only bound."""
    watch = sampler()
    held = [tcp(("127.0.0.1", 0)) for _ in range(bound)]
    known = watch.sample().sample
    assert known.sessions is not None
    return len(held), known.sessions.transports.tcp.total, known.depth, len(known.keys)


def test_sockets_that_are_only_bound_count_although_no_counter_has_them(netns):
    """Twelve of them block twelve ports for everybody, while ``inuse`` says none."""
    held, inuse, depth, _ = netns(depth_with_bound, 12, ip_local_port_range=RANGE)

    assert (12, 0, IN_RANGE) == (held, inuse, depth)


def what_is_kept_between():
    """Return what is known after a full sample and after a quick one."""
    listener(*REMOTE)
    for _ in range(12):
        connected(REMOTE)
    watch = new_sampler()
    return watch.sample(), watch.sample()


def test_states_settings_and_findings_stay_those_of_the_last_full_sample(netns):
    """A quick sample has no states of its own, and keeps what the full one told."""
    first, later = netns(what_is_kept_between, ip_local_port_range=RANGE)

    assert (FULL, IN_RANGE) == (first.sample.depth, later.sample.depth)
    assert first.sample.sessions.states["ESTABLISHED"] == 24
    assert later.sample.sessions.states == {}
    assert (first.states, first.settings, first.findings) == (
        later.states,
        later.settings,
        later.findings,
    )
    assert first.sample.keys[0].held_ports == later.sample.keys[0].held_ports == 12


def connects_between():
    """Return the connects that the kernel counted between two samples."""
    listener(*REMOTE)
    listener(*OTHER)
    watch = sampler()
    before = watch.sample().sample.active_opens
    for _ in range(7):
        connected(OTHER)
    after = watch.sample().sample.active_opens
    return after - before


def test_every_connect_is_counted(netns):
    """``active_opens`` is the kernel's own count."""
    assert netns(connects_between, ip_local_port_range=RANGE) == 7


def gone():
    """Sample a namespace in which nothing may be read any more."""
    watch = sampler()
    for _ in range(3):
        watch.sample()
    return watch.sample()


def test_a_sample_survives_the_trip_to_json_and_back(netns):
    """What is known can be written down and read again: nothing of it is lost."""
    known = netns(gone, ip_local_port_range=RANGE)

    assert known == msgspec.json.decode(msgspec.json.encode(known), type=type(known))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM])
def test_udp_sockets_that_fill_the_range_are_looked_at(netns, kind):
    """UDP has no remote in its key: ten bound sockets are half of it."""

    def fill():
        """Bind ten UDP sockets to ports that the kernel chooses, and sample."""
        watch = sampler()
        held = [socket.socket(socket.AF_INET, kind) for _ in range(10)]
        for one in held:
            one.bind(("0.0.0.0", 0))
        known = watch.sample().sample
        return known.depth, known.keys[0].protocol, known.keys[0].held_ports

    assert netns(fill, ip_local_port_range=RANGE) == (IN_RANGE, "udp", 10)
