"""How fast connections end, and which programs are known by their names."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.findings.churn import known_software, time_wait_inflow
from portroom.model.advice.findings.recipes import RECIPES, recipe_of
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import Kind, Owner
from tests.unit.made_scenes import NGINX, PERL, connected, held_by, scene, small, time_waits


def ended(young: int, old: int = 0, first: int = 40000, **of):
    """Return TIME_WAITs of two seconds, and others of fifty."""
    return time_waits(first, young + old, [2.0] * young + [50.0], **of)


def test_inflow_above_what_the_ports_sustain():
    """Twenty in five seconds are 4 a second; a hundred ports sustain 100/60."""
    (one,) = time_wait_inflow(scene(small(ended(20), tcp_tw_reuse=0)))

    assert "4.0 connections a second to 198.51.100.1:443 from 192.0.2.1" in one.evidence
    assert "its ports sustain 1.7 a second" in one.evidence
    assert "80 free ports last 20 s" in one.evidence
    assert {"inflow_per_s": 4.0, "sustained_per_s": 1.7, "full_in_s": 20.0}.items() <= (
        one.numbers.items()
    )
    assert "portroom headroom 198.51.100.1:443 --owners" == one.command


@pytest.mark.parametrize("young", [5, 9])
def test_a_few_are_chance(young):
    """Below ten the rate says nothing."""
    assert [] == list(time_wait_inflow(scene(small(ended(young, 20), tcp_tw_reuse=0))))


def test_a_rate_that_can_be_sustained_is_no_finding():
    """Ten in five seconds are 2 a second; a thousand ports sustain 16."""
    wide = small().settings.ephemeral._replace(last=40999)

    assert [] == list(time_wait_inflow(scene(small(ended(10), ephemeral=wide, tcp_tw_reuse=0))))


def test_old_entries_are_no_inflow():
    """A burst of a minute ago is over."""
    assert [] == list(time_wait_inflow(scene(small(ended(0, 60), tcp_tw_reuse=0))))


def test_reuse_lets_a_key_sustain_more():
    """With reuse after a second a hundred ports sustain 100 a second."""
    assert [] == list(time_wait_inflow(scene(small(ended(60), tcp_tw_reuse=1))))


def test_a_key_without_a_port_left_says_so():
    """Then no time is told."""
    (one,) = time_wait_inflow(scene(small(ended(60, 40), tcp_tw_reuse=0)))

    assert one.evidence.endswith("No port is left.")


def test_without_ages_nothing_is_found():
    """What was not read is no finding."""
    waiting = ended(60)
    waiting.remaining_ms = {}

    assert [] == list(time_wait_inflow(scene(small(waiting, tcp_tw_reuse=0))))


# Known software.


def behind(command: str, sockets: int = 60):
    """Return a scene in which a program holds so many of a hundred ports."""
    of = connected(40000, sockets, kind=Kind.NO_PORT)
    return scene(held_by(small(of), (of, msgspec.structs.replace(PERL, command=command))))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("nginx", "keepalive N"),
        ("haproxy", "http-reuse"),
        ("envoy", "IP_BIND_ADDRESS_NO_PORT"),
        ("pilot-agent", "maxRequestsPerConnection"),
        ("python3.11", "requests.Session"),
        ("gunicorn: w", "CONN_MAX_AGE"),
        ("pgbouncer", "min_pool_size"),
        ("php-fpm8.2", "PDO::ATTR_PERSISTENT"),
        ("node", "keepAlive: true"),
        ("java", "http.maxConnections"),
        ("prometheus", "MaxIdleConnsPerHost"),
        ("coredns", "MaxIdleConnsPerHost"),
        ("redis-benchmark", "-k 1"),
    ],
)
def test_known_software_is_given_its_recipe(command, said):
    """The name, what it is taken for, its sockets, and setting, value and place."""
    (one,) = known_software(behind(command))

    assert said in one.remedy
    assert f"{command} (pid 77), recognised by its name as" in one.evidence
    assert "60 sockets to 198.51.100.1:443" in one.evidence
    assert "info" == one.severity


@pytest.mark.parametrize("command", ["perl", "my-go-service", "nodemon", "javac", "wrkx", ""])
def test_other_software_is_not_guessed(command):
    """A name that is not in a row says nothing; a Go program has any name."""
    assert [] == list(known_software(behind(command)))


def test_one_port_is_told_as_one():
    """A range of a single port: 1 of 1 is held."""
    one = connected(40000, 1, kind=Kind.NO_PORT)
    read = held_by(small(one, ephemeral=PortRange(40000, 40000)), (one, NGINX))
    (found,) = known_software(scene(read))

    assert "has 1 socket to" in found.evidence
    assert found.evidence.endswith("where 1 of 1 eligible port is held.")


def test_known_software_with_room_is_left_in_peace():
    """Half of the ports are no reason for advice."""
    assert [] == list(known_software(behind("nginx", 50)))


def test_known_software_behind_inflow_is_told_too():
    """Its TIME_WAITs have no owner; the living connections of the key have."""
    waiting = ended(20)
    alive = connected(40050, 2, kind=Kind.NO_PORT)
    read = held_by(small(waiting, alive, tcp_tw_reuse=0), (alive, NGINX))
    (one,) = known_software(scene(read))

    assert "2 sockets to 198.51.100.1:443" in one.evidence


def test_a_recipe_is_told_once():
    """Two full destinations of one program, one piece of advice."""
    tables = [connected(40000, 60, kind=Kind.NO_PORT, remote=("198.51.100.1", p)) for p in (1, 2)]
    read = held_by(small(*tables), *((of, NGINX) for of in tables))

    assert 1 == len(list(known_software(scene(read))))


def test_every_recipe_is_whole():
    """Setting, value and place are there, and each name reaches its own row."""
    for recipe in RECIPES:
        assert recipe.setting
        assert recipe.value
        assert recipe.where
        for name in recipe.names:
            assert len(name.rstrip("*")) <= 15
            assert recipe is recipe_of(name.rstrip("*"), recipe.protocol)


def test_a_hostile_name_matches_nothing_else():
    """A name is compared, never searched in."""
    assert recipe_of("xnginx") is None
    assert recipe_of("*") is None
    assert recipe_of(Owner(1, 1, "\x1b[31mnginx", 0, None, None).command) is None
