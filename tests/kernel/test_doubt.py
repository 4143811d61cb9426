"""How much is in doubt where many connections are: next to nothing."""

from __future__ import annotations

import resource

from tests.kernel import needs
from tests.kernel.predict import predict, question
from tests.kernel.sockets import connected, listener

DESTINATIONS = 20
CONNECTIONS = 8_000
HELD = CONNECTIONS // DESTINATIONS
"""Ports that each destination holds itself."""

UNSEEN = 50
"""More than the sockets of this system that are in no table, where bound ones are not listed."""


def crowd():
    """
    Make plain connections to twenty destinations, and return what is in doubt.

    Returns:
        The doubtful ports of the tightest and of the loosest key, and of a
        destination without a connection; the ports that one socket alone
        holds; and all that any socket holds.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in range(DESTINATIONS):
        listener("127.0.0.1", 9000 + number)
    made = [connected(("127.0.0.1", 9000 + number % DESTINATIONS)) for number in range(CONNECTIONS)]
    used = [one.getsockname()[1] for one in made]
    alone = sum(used.count(port) == 1 for port in set(used))
    keys = question(None)
    fresh = predict(("127.0.0.1", 10_000))
    doubts = [key.doubtful_ports for key in (keys[0], keys[-1], fresh)]
    return doubts, alone, len(set(used))


def test_a_thousand_ports_leave_no_doubt(netns):
    """
    8,000 connections over 1,000 ports share nearly every port, which proves it.

    Where a bucket is sticky nothing does: each of them that the key does not hold is in doubt.
    """
    doubts, alone, used = netns(crowd, ip_local_port_range="40000 40999")

    forgets = needs.features().bucket_forgets
    least = [0, 0, 0] if forgets else [used - HELD, used - HELD, used]
    unseen = 0 if needs.features().bound_inactive_rows else UNSEEN
    assert alone == 0
    assert [] == [
        (low, doubt)
        for low, doubt in zip(least, doubts, strict=True)
        if not low <= doubt <= low + unseen
    ]


def test_the_default_range_leaves_in_doubt_what_one_socket_holds_alone(netns, record_property):
    """
    8,000 connections over 28,232 ports: only unshared ports can be in doubt.

    4,753 ports were held by one socket alone when this was measured, 17 % of
    the range; what a run finds is recorded with its result. Where a bucket is
    sticky all that have an owner can be.
    """
    doubts, alone, used = netns(crowd)
    record_property("ports_of_one_socket", alone)
    record_property("doubtful_ports", doubts)

    most = alone if needs.features().bucket_forgets else used + UNSEEN
    assert max(doubts) <= most
