"""Ports that a service counts on and that the kernel may give away."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.findings.beliefs import myth_count
from portroom.model.advice.findings.ports import (
    listener_in_range,
    node_ports_in_range,
    of_parity,
    same_parity,
)
from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.ports import PortRange
from portroom.model.facts.surroundings import (
    NodePorts,
    PublishedPort,
    ServicePort,
    Surroundings,
    VxlanPort,
)
from tests.unit.made_groups import listener
from tests.unit.made_scenes import NGINX, SHOP, held_by, scene, small


def nodes(first: int, last: int) -> Surroundings:
    """Return the surroundings of a Kubernetes node."""
    return Surroundings(node_ports=NodePorts(RangeEnds(first, last), "kube-proxy (pid 9)"))


def test_a_listener_inside_the_range_is_named_and_reserved():
    """An even port in a range that begins even was asked for by its number."""
    web = listener(40080)
    (one,) = listener_in_range(scene(held_by(small(web), (web, NGINX))))

    assert "1 port that a service counts on lies inside the range 40000-40099" in one.evidence
    assert "tcp 40080 (nginx, pid 4711)" in one.evidence
    assert ("warning", "portroom set reserved+=40080") == (one.severity, one.command)
    assert (NGINX,) == one.owners


@pytest.mark.parametrize(
    "read",
    [
        small(listener(39998)),
        small(listener(40100)),
        small(listener(8080)),
        small(listener(40080), reserved="40080"),
        small(listener(40080), reserved="40000-40099"),
        small(),
    ],
)
def test_outside_or_reserved_is_safe(read):
    """The kernel chooses none of them."""
    assert [] == list(listener_in_range(scene(read)))


def test_a_port_that_the_kernel_may_have_chosen_is_only_told():
    """bind() to port 0 gives odd ports first: perhaps there is nothing to reserve."""
    (one,) = listener_in_range(scene(small(listener(40081))))

    assert "info" == one.severity
    assert "The kernel's own choice for port 0 would be odd, too." in one.evidence
    assert "what the kernel chose needs nothing" in one.remedy


def test_both_kinds_are_told_apart():
    """The sure ones are in one command, the others in another."""
    found = list(listener_in_range(scene(small(listener(40080), listener(40081)))))

    assert ["set reserved+=40080", "set reserved+=40081"] == [
        one.command.removeprefix("portroom ") for one in found
    ]


def test_one_port_on_several_addresses_is_one_port():
    """Both families of one service."""
    (one,) = listener_in_range(scene(small(listener(40080), listener(40080, "::"))))

    assert 1 == one.numbers["ports"]


def test_published_and_vxlan_ports_and_services_count_without_a_listener():
    """Whatever their parity: somebody wrote their numbers."""
    around = Surroundings(
        published=(PublishedPort("tcp", 40081, "docker", "shop"),),
        vxlan=(VxlanPort(40083, "flannel.1"),),
        services=(ServicePort("tcp", 40085, "redis", "redis.service"),),
    )
    (one,) = listener_in_range(scene(around=around))

    assert "warning" == one.severity
    assert "40081,40083,40085" == one.numbers["list"]
    assert "Not all of these services need to run now" in one.evidence


def test_a_listener_that_is_published_is_surely_by_number():
    """What is known of a port by one way counts for all."""
    around = Surroundings(published=(PublishedPort("tcp", 40081, "docker", "shop"),))
    (one,) = listener_in_range(scene(small(listener(40081)), around=around))

    assert "warning" == one.severity


def test_node_ports_inside_the_range():
    """Those that overlap, with what was seen of Kubernetes."""
    (one,) = node_ports_in_range(scene(around=nodes(40090, 40200)))

    assert "10 NodePorts are inside the range 40000-40099" in one.evidence
    assert "kube-proxy (pid 9)" in one.evidence
    assert "portroom set reserved+=40090-40099" == one.command


@pytest.mark.parametrize(
    ("read", "around"),
    [
        (small(), nodes(30000, 32767)),
        (small(reserved="40000-40050"), nodes(40010, 40050)),
        (small(), Surroundings()),
    ],
)
def test_node_ports_that_are_safe(read, around):
    """Outside, reserved, or no Kubernetes at all."""
    assert [] == list(node_ports_in_range(scene(read, around=around)))


def test_a_part_of_the_node_ports_may_be_reserved():
    """The rest is told, as runs."""
    (one,) = node_ports_in_range(scene(small(reserved="40010-40019"), around=nodes(40000, 40029)))

    assert "portroom set reserved+=40000-40009,40020-40029" == one.command


@pytest.mark.parametrize(
    ("ephemeral", "better", "word"),
    [
        (PortRange(15000, 64000), "15000-64001", "even"),
        (PortRange(15001, 64001), "15001-64002", "odd"),
        (PortRange(1025, 65535), "1026-65535", "odd"),
    ],
)
def test_ends_of_one_parity(ephemeral, better, word):
    """One port may be lost, and the range beside it is the remedy."""
    (one,) = same_parity(scene(small(ephemeral=ephemeral)))

    assert f"are both {word}" in one.evidence
    assert "may leave out one end" in one.evidence
    assert f"portroom set range={better} --try" == one.command
    assert ephemeral.ports == one.numbers["ports"]


@pytest.mark.parametrize("ephemeral", [PortRange(32768, 60999), PortRange(40000, 40000)])
def test_ends_of_different_parity_lose_nothing(ephemeral):
    """A single port is not lost either."""
    assert [] == list(same_parity(scene(small(ephemeral=ephemeral))))


def test_of_the_old_default_one_rule_tells_and_not_two():
    """Both ends of 32768-61000 are even; two commands would contradict each other."""
    read = scene(small(ephemeral=PortRange(32768, 61000)))

    assert [] == list(same_parity(read))
    assert ["myth_count"] == [one.name for one in myth_count(read)]


@pytest.mark.parametrize(
    ("first", "last", "reserved", "expected"),
    [
        (40000, 40009, "", (5, 5)),
        (40000, 40000, "", (1, 0)),
        (40001, 40001, "", (0, 1)),
        (40000, 40009, "40000-40003,40006,50000", (2, 3)),
        (32768, 60999, "", (14_116, 14_116)),
        (1, 65535, "", (32_767, 32_768)),
        (40000, 40009, "40000-40009", (0, 0)),
    ],
)
def test_eligible_ports_of_each_parity(first, last, reserved, expected):
    """Counted run by run, without the reserved ones."""
    settings = small(ephemeral=PortRange(first, last), reserved=reserved).settings

    assert expected == (of_parity(settings, 0), of_parity(settings, 1))


def test_commands_are_for_the_namespace():
    """A namespace has its own reserved ports."""
    read = msgspec.structs.replace(small(listener(40080)), netns=SHOP)
    (one,) = listener_in_range(scene(read))

    assert "portroom set reserved+=40080 --netns shop" == one.command
